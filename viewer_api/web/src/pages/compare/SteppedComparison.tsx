import { useMemo, type ReactNode } from "react";
import type { ComparedRow, ComparedSteps, Status } from "../../api/compare";
import { useShortcuts } from "../../app/shortcuts";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { ToggleButton } from "../../ui/ToggleButton";
import { RowDetails } from "./RowDetails";
import { RowList, type PlacedRow } from "./RowList";
import { signed, SIGNS, titleOf, wordOf } from "./signs";
import styles from "./TwoFlows.module.css";

interface Props {
  readonly steps: ComparedSteps;
  /** Ids of the flows; the first is null where the flow is compared with what is usual. */
  readonly a: string | null;
  readonly b: string;
  /** What stands above the steps. */
  readonly children: ReactNode;
}

/** The steps of a comparison: those with the greatest differences, and all of them, aligned. */
export function SteppedComparison({ steps, a, b, children }: Props) {
  const { route, change } = useNavigation();
  const { rows, biggest, counts } = steps;
  const usual = a === null;
  const only = one(route.query, "only");
  const at = Number(one(route.query, "row") ?? NaN);
  const chosen = rows[at];
  const placed = useMemo(() => rows.map((row, place) => ({ row, place })), [rows]);
  const shown = useMemo(() => placed.filter(({ row }) => shows(only, row)), [placed, only]);
  const choose = (place: number | null) => change({ row: place === null ? null : String(place) }, "replace");
  const toBiggest = (by: number) => {
    const index = biggest.indexOf(at);
    const next = biggest[index < 0 ? (by > 0 ? 0 : biggest.length - 1) : (index + by + biggest.length) % biggest.length];
    if (next !== undefined) change({ row: String(next), only: null }, "replace");
  };
  useShortcuts([
    { keys: "e", text: "Next of the greatest differences", group: "Compare", run: () => toBiggest(1) },
    { keys: "E", text: "Previous of the greatest differences", group: "Compare", run: () => toBiggest(-1) },
  ]);
  return (
    <>
      {children}
      {biggest.length > 0 && (
        <div className={styles["biggest"]} data-testid="biggest">
          <span className="quiet">Most of it:</span>
          {biggest.map((place) => {
            const row = rows[place];
            return row === undefined ? null : (
              <Button key={place} onPress={() => change({ row: String(place), only: null }, "replace")}>
                <span className={styles["sign"]} data-status={row.status} aria-hidden="true">
                  {SIGNS[row.status].sign}
                </span>
                <span className="truncate">{titleOf(row)}</span>
                <span className="quiet">{row.delta_ms === null ? "" : signed(row.delta_ms)}</span>
              </Button>
            );
          })}
        </div>
      )}
      <div className={styles["filter"]} role="toolbar" aria-label="Steps shown">
        <ToggleButton on={only === "different"} onChange={(on) => change({ only: on ? "different" : null }, "replace")} testId="only-different">
          Differences only
        </ToggleButton>
        {(Object.keys(counts) as Status[]).map((status) => (
          <ToggleButton key={status} on={only === status} onChange={(on) => change({ only: on ? status : null }, "replace")} testId={`only-${status}`}>
            <span className={styles["sign"]} data-status={status} aria-hidden="true">
              {SIGNS[status].sign}
            </span>
            {wordOf(status, usual)} <span className="quiet">{counts[status]}</span>
          </ToggleButton>
        ))}
      </div>
      <div className={styles["workspace"]} data-details={chosen !== undefined}>
        <RowList rows={shown as readonly PlacedRow[]} usual={usual} chosen={chosen === undefined ? null : at} onChoose={choose} />
        {chosen !== undefined && <RowDetails row={chosen} a={a} b={b} onClose={() => choose(null)} />}
      </div>
    </>
  );
}

/** Time in which nothing ran is not counted as a step, so it is not listed as one. */
function shows(only: string | null, { status, kind }: ComparedRow): boolean {
  if (only === null) return true;
  return only === "different" ? status !== "same" && status !== "unknown" : status === only && kind !== "waiting";
}
