import { ToggleButton, ToggleButtonGroup } from "react-aria-components";
import { verdictWords, VERDICTS } from "../../api/notes";
import { mayAnnotate } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { PersonSearch } from "../../components/PersonSearch";
import { one, several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { outcomeAppearance } from "../../tree/appearance";
import { Select } from "../../ui/Field";
import { StateSign } from "../../components/StateSign";
import { FilterChips } from "./FilterChips";
import { hidesConnections, OUTCOMES, SORTS } from "./filters";
import { MoreFilters } from "./MoreFilters";
import { TimeRange } from "./TimeRange";
import styles from "./FilterBar.module.css";

const VERDICT_CHOICES = [{ id: "", text: "Any verdict" }, ...VERDICTS.map((id) => ({ id, text: verdictWords(id) }))];

/** What narrows the list: outcome, time, person, and everything else as chips that can be taken away. */
export function FilterBar({ own }: { readonly own: string | null }) {
  const { route, change } = useNavigation();
  const { query } = route;
  const session = useSignedIn();
  const outcomes = several(query, "outcome");
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
        <div className={styles["controls"]}>
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
        {mayAnnotate(session) && (
          <Select
            label="Verdict"
            hideLabel
            choices={VERDICT_CHOICES}
            value={one(query, "verdict") ?? ""}
            onChange={(verdict) => change({ verdict: verdict === "" ? null : verdict })}
            testId="verdict-filter"
          />
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
        <FilterChips own={own} clearedElsewhere />
      </div>
    </div>
  );
}
