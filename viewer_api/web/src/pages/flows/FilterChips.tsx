import { useName } from "../../hooks/useName";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { FilterChip } from "../../ui/Chip";
import { FILTER_LABELS, filterText } from "./filters";
import styles from "./FilterBar.module.css";

interface Props {
  /** Whose flows are shown, for a session that sees its own only; null otherwise. */
  readonly own: string | null;
  /** Filters that stand elsewhere on the page. */
  readonly without?: readonly string[];
  /** Whether a button that takes all of them away stands elsewhere. */
  readonly clearedElsewhere?: boolean;
}

const BUTTONS = ["outcome"];

/** What narrows the page, one chip for each value, to be taken away. */
export function FilterChips({ own, without = BUTTONS, clearedElsewhere = false }: Props) {
  const { route, change } = useNavigation();
  const { query } = route;
  const chips = Object.keys(FILTER_LABELS)
    .filter((name) => !without.includes(name) && !(own !== null && name === "user_id"))
    .flatMap((name) => several(query, name).map((value) => ({ name, value })));
  if (chips.length === 0) return null;
  return (
    <div className={styles["chips"]}>
      {chips.map(({ name, value }) => (
        <FilterChip
          key={`${name} ${value}`}
          name={FILTER_LABELS[name]}
          remove={`Remove the filter ${FILTER_LABELS[name]} ${value}`}
          testId="filter-chip"
          onRemove={() => change({ [name]: several(query, name).filter((other) => other !== value) })}
        >
          {name === "user_id" ? <UserName userId={value} /> : filterText(name, value)}
        </FilterChip>
      ))}
      {!clearedElsewhere && <ClearFilters />}
    </div>
  );
}

/** Takes away everything that narrows the page; nothing while nothing does. */
export function ClearFilters() {
  const { route, go } = useNavigation();
  if (Object.keys(route.query).length === 0) return null;
  return (
    <Button look="plain" onPress={() => go({ ...route, query: {} })} testId="clear-filters">
      Clear all
    </Button>
  );
}

function UserName({ userId }: { readonly userId: string }) {
  return useName(userId, undefined);
}
