import { useQuery } from "@tanstack/react-query";
import { ArrowLeftRight } from "lucide-react";
import { useMemo } from "react";
import { compareFlows, type ComparedRow, type Comparison, type Status } from "../../api/compare";
import { useShortcuts } from "../../app/shortcuts";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Loading, Notice } from "../../ui/Notice";
import { ToggleButton } from "../../ui/ToggleButton";
import { FlowSide } from "./FlowSide";
import { RowDetails } from "./RowDetails";
import { RowList, type PlacedRow } from "./RowList";
import { longer, percent, signed, SIGNS, titleOf } from "./signs";
import styles from "./TwoFlows.module.css";

const WHILE_RUNNING_MS = 2_000;

/** Two flows beside each other: what is new, what is gone, and where the time went. */
export function TwoFlows({ a, b }: { readonly a: string; readonly b: string }) {
  const { data, error } = useQuery({
    queryKey: ["compare", a, b],
    queryFn: ({ signal }) => compareFlows(a, b, signal),
    refetchInterval: ({ state }) => (state.data?.a.open === true || state.data?.b.open === true ? WHILE_RUNNING_MS : false),
  });
  return (
    <div className={styles["page"]} data-testid="compare-page">
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {data === undefined ? error === null && <Loading label="The comparison is loading" /> : <Compared comparison={data} />}
    </div>
  );
}

function Compared({ comparison }: { readonly comparison: Comparison }) {
  const { route, change } = useNavigation();
  const { a, b, rows, biggest, counts } = comparison;
  const only = one(route.query, "only");
  const at = Number(one(route.query, "row") ?? NaN);
  const chosen = rows[at];
  const placed = useMemo(() => rows.map((row, place) => ({ row, place })), [rows]);
  const shown = useMemo(() => placed.filter(({ row }) => shows(only, row)), [placed, only]);
  const choose = (place: number | null) => change({ row: place === null ? null : String(place) }, "replace");
  const swap = () => change({ a: b.flow_id, b: a.flow_id, row: null }, "replace");
  const toBiggest = (by: number) => {
    const index = biggest.indexOf(at);
    const next = biggest[index < 0 ? (by > 0 ? 0 : biggest.length - 1) : (index + by + biggest.length) % biggest.length];
    if (next !== undefined) change({ row: String(next), only: null }, "replace");
  };
  useShortcuts([
    { keys: "x", text: "Swap the two flows", group: "Compare", run: swap },
    { keys: "e", text: "Next of the greatest differences", group: "Compare", run: () => toBiggest(1) },
    { keys: "E", text: "Previous of the greatest differences", group: "Compare", run: () => toBiggest(-1) },
  ]);
  return (
    <>
      <header className={styles["head"]}>
        <h1>Compare</h1>
        <strong className={styles["delta"]} data-testid="compare-delta" data-status={statusOf(comparison.delta_ms)}>
          {longer(comparison.delta_ms)} <span className="quiet">{percent(comparison.delta_percent)}</span>
        </strong>
        <Button icon={ArrowLeftRight} onPress={swap} testId="swap">
          Swap <kbd>x</kbd>
        </Button>
      </header>
      <div className={styles["sides"]}>
        <FlowSide letter="A" flow={a} longest={longestOf(a, b)} />
        <FlowSide letter="B" flow={b} longest={longestOf(a, b)} />
      </div>
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
                <span className="quiet">{signed(row.delta_ms)}</span>
              </Button>
            );
          })}
        </div>
      )}
      <div className={styles["filter"]} role="toolbar" aria-label="Which steps are shown">
        <ToggleButton on={only === "different"} onChange={(on) => change({ only: on ? "different" : null }, "replace")} testId="only-different">
          Only what differs
        </ToggleButton>
        {(Object.keys(SIGNS) as Status[]).map((status) => (
          <ToggleButton key={status} on={only === status} onChange={(on) => change({ only: on ? status : null }, "replace")} testId={`only-${status}`}>
            <span className={styles["sign"]} data-status={status} aria-hidden="true">
              {SIGNS[status].sign}
            </span>
            {SIGNS[status].text} <span className="quiet">{counts[status]}</span>
          </ToggleButton>
        ))}
      </div>
      <div className={styles["workspace"]} data-details={chosen !== undefined}>
        <RowList rows={shown as readonly PlacedRow[]} chosen={chosen === undefined ? null : at} onChoose={choose} />
        {chosen !== undefined && <RowDetails row={chosen} a={a.flow_id} b={b.flow_id} onClose={() => choose(null)} />}
      </div>
    </>
  );
}

/** Time in which nothing ran is not counted as a step, so it is not listed as one. */
function shows(only: string | null, { status, kind }: ComparedRow): boolean {
  if (only === null) return true;
  return only === "different" ? status !== "same" : status === only && kind !== "waiting";
}

const statusOf = (delta: number | null): Status => (delta === null || delta === 0 ? "same" : delta > 0 ? "slower" : "faster");

const longestOf = (a: Comparison["a"], b: Comparison["b"]) => Math.max(a.duration_ms ?? 0, b.duration_ms ?? 0, 1e-6);
