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
import { FILTERS, hidesConnections, OUTCOMES, SORTS } from "./filters";
import { MoreFilters } from "./MoreFilters";
import { TimeRange } from "./TimeRange";
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
        <TimeRange />
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
        <ToggleButton
          isSelected={hidesConnections(query)}
          onChange={(hide) => change({ connections: hide ? null : "show" })}
          className={styles["toggle"] ?? ""}
          data-testid="hide-connections"
        >
          Hide connections
        </ToggleButton>
      </div>
      {Object.keys(query).length > 0 && (
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
