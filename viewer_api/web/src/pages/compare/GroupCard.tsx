import { Plus } from "lucide-react";
import { useState, type FormEvent } from "react";
import type { Differences } from "../../api/compare";
import { useName } from "../../hooks/useName";
import { Link } from "../../navigation/Link";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { FilterChip } from "../../ui/Chip";
import { Select, TextField } from "../../ui/Field";
import { filterText } from "../flows/filters";
import { filtersOf, GROUP_FILTERS, parameter, type GroupName } from "./groups";
import { listOf } from "./questions";
import styles from "./GroupsView.module.css";

interface Props {
  readonly group: GroupName;
  readonly title: string;
  readonly sample: Differences["a"] | undefined;
}

const CHOICES = Object.entries(GROUP_FILTERS).map(([id, text]) => ({ id, text }));
const LETTERS: Readonly<Record<GroupName, string>> = { a: "A", b: "B", both: "A, B" };

/** One of the groups: its filters, to be taken away and added, and how many flows it has. */
export function GroupCard({ group, title, sample }: Props) {
  const { route, change } = useNavigation();
  const filters = Object.entries(filtersOf(route.query, group)).flatMap(([name, values]) => values.map((value) => ({ name, value })));
  const set = (name: string, values: readonly string[]) => change({ [parameter(group, name)]: values });
  return (
    <section className={styles["group"]} aria-label={title} data-testid={`group-${group}`}>
      <h2 className={styles["title"]}>
        <span className={styles["letter"]} data-group={group}>
          {LETTERS[group]}
        </span>
        {title}
      </h2>
      <div className={styles["chips"]}>
        {filters.length === 0 && <span className="quiet">{group === "both" ? "Nothing else" : "All flows of the time"}</span>}
        {filters.map(({ name, value }) => (
          <FilterChip
            key={`${name} ${value}`}
            name={GROUP_FILTERS[name]}
            remove={`Remove ${GROUP_FILTERS[name]} ${value} from ${title}`}
            testId="group-filter"
            onRemove={() => set(name, several(route.query, parameter(group, name)).filter((other) => other !== value))}
          >
            {name === "user_id" ? <UserName userId={value} /> : filterText(name, value)}
          </FilterChip>
        ))}
      </div>
      <AddFilter title={title} onAdd={(name, value) => set(name, [...several(route.query, parameter(group, name)), value])} />
      {group !== "both" && sample !== undefined && (
        <p className="quiet">
          <Link to={listOf(route.query, group)} testId="group-flows">
            {sample.sampled.toLocaleString()} flows
          </Link>
          {!sample.complete && " of more were looked at"}
        </p>
      )}
    </section>
  );
}

function AddFilter({ title, onAdd }: { readonly title: string; readonly onAdd: (name: string, value: string) => void }) {
  const [name, setName] = useState("outcome");
  const [value, setValue] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = value.trim();
    if (wanted === "") return;
    onAdd(name, wanted);
    setValue("");
  };
  return (
    <form className={styles["add"]} onSubmit={submit}>
      <Select label={`Filter for ${title}`} hideLabel choices={CHOICES} value={name} onChange={setName} />
      <TextField label={`Value of the filter for ${title}`} hideLabel placeholder="value" value={value} onChange={setValue} />
      <Button type="submit" icon={Plus} isDisabled={value.trim() === ""}>
        Add
      </Button>
    </form>
  );
}

function UserName({ userId }: { readonly userId: string }) {
  return useName(userId, undefined);
}
