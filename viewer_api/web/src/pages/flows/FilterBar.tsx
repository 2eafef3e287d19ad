import { X } from "lucide-react";
import { Button as AriaButton, ToggleButton, ToggleButtonGroup } from "react-aria-components";
import { PersonSearch } from "../../components/PersonSearch";
import { useName } from "../../hooks/useName";
import { one, several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { outcomeAppearance } from "../../tree/appearance";
import { Button } from "../../ui/Button";
import { Select } from "../../ui/Field";
import { StateSign } from "../../components/StateSign";
import { FILTERS, OUTCOMES, RANGES, SORTS, USUAL_RANGE } from "./filters";
import { MoreFilters } from "./MoreFilters";
import styles from "./FilterBar.module.css";

/** What narrows the list: outcome, time, person, and everything else as chips that can be taken away. */
export function FilterBar({ own }: { readonly own: string | null }) {
  const { route, change, go } = useNavigation();
  const { query } = route;
  const outcomes = several(query, "outcome");
  const chips = Object.keys(FILTERS)
    .filter((name) => name !== "outcome" && !(own !== null && name === "user_id"))
    .flatMap((name) => several(query, name).map((value) => ({ name, value })));
  return (
    <div className={styles["bar"]}>
      <div className={styles["line"]}>
        <ToggleButtonGroup
          aria-label="Outcome"
          selectionMode="multiple"
          selectedKeys={outcomes}
          onSelectionChange={(keys) => change({ outcome: [...keys].map(String) })}
          className={styles["outcomes"] ?? ""}
        >
          {OUTCOMES.map((outcome) => (
            <ToggleButton key={outcome} id={outcome} className={styles["outcome"] ?? ""} data-testid={`outcome-${outcome}`}>
              <StateSign look={outcomeAppearance(outcome, outcome === "running")} silent />
              {outcome}
            </ToggleButton>
          ))}
        </ToggleButtonGroup>
        <Select
          label="Time"
          hideLabel
          choices={RANGES}
          value={one(query, "range") ?? USUAL_RANGE}
          onChange={(range) => change({ range: range === USUAL_RANGE ? null : range, since: null, until: null })}
          testId="time-range"
        />
        <Select
          label="Order"
          hideLabel
          choices={SORTS}
          value={one(query, "sort") ?? "newest"}
          onChange={(sort) => change({ sort: sort === "newest" ? null : sort })}
        />
        {own === null && (
          <PersonSearch label="Person" hideLabel onChoose={(person) => change({ user_id: [...several(query, "user_id"), person.userId] })} />
        )}
        <MoreFilters />
      </div>
      {(chips.length > 0 || outcomes.length > 0) && (
        <div className={styles["line"]}>
          {chips.map(({ name, value }) => (
            <Chip
              key={`${name} ${value}`}
              name={name}
              value={value}
              onRemove={() => change({ [name]: several(query, name).filter((other) => other !== value) })}
            />
          ))}
          <Button look="plain" onPress={() => go({ ...route, query: {} })} testId="clear-filters">
            Clear all
          </Button>
        </div>
      )}
    </div>
  );
}

interface ChipProps {
  readonly name: string;
  readonly value: string;
  readonly onRemove: () => void;
}

function Chip({ name, value, onRemove }: ChipProps) {
  const text = name === "user_id" ? <UserName userId={value} /> : value;
  return (
    <span className={styles["chip"]} data-testid="filter-chip">
      <span className="quiet">{FILTERS[name]}</span> <span className="truncate">{text}</span>
      <AriaButton aria-label={`Remove the filter ${FILTERS[name]} ${value}`} onPress={onRemove} className={styles["remove"] ?? ""}>
        <X size={13} aria-hidden="true" />
      </AriaButton>
    </span>
  );
}

function UserName({ userId }: { readonly userId: string }) {
  return useName(userId, undefined);
}
