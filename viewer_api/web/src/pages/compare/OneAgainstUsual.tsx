import { useQuery } from "@tanstack/react-query";
import { againstUsual, type AgainstUsual, type UsualFlows } from "../../api/compare";
import { duration } from "../../format";
import { Loading, Notice } from "../../ui/Notice";
import { FlowSide } from "./FlowSide";
import { directionOf, percent, signed } from "./signs";
import { SteppedComparison } from "./SteppedComparison";
import styles from "./TwoFlows.module.css";

const WHILE_RUNNING_MS = 2_000;

/** One flow beside the usual one of its kind: what is slower than usual, unusual, or missing. */
export function OneAgainstUsual({ flowId }: { readonly flowId: string }) {
  const { data, error } = useQuery({
    queryKey: ["usual", flowId],
    queryFn: ({ signal }) => againstUsual(flowId, signal),
    refetchInterval: ({ state }) => (state.data?.b.open === true ? WHILE_RUNNING_MS : false),
  });
  return (
    <div className={styles["page"]} data-testid="usual-page">
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {data === undefined ? error === null && <Loading label="The comparison is loading" /> : <Compared comparison={data} />}
    </div>
  );
}

function Compared({ comparison }: { readonly comparison: AgainstUsual }) {
  const { a, b } = comparison;
  const longest = Math.max(a.p95_ms ?? 0, b.duration_ms ?? 0, 1e-6);
  return (
    <SteppedComparison steps={comparison} a={null} b={b.flow_id}>
      <header className={styles["head"]}>
        <h1>Against usual</h1>
        {a.p50_ms !== null && (
          <strong className={styles["delta"]} data-testid="compare-delta" data-status={directionOf(comparison.delta_ms)}>
            {signed(comparison.delta_ms)} <span className="quiet">{percent(comparison.delta_percent)}</span>
          </strong>
        )}
      </header>
      <div className={styles["sides"]}>
        <UsualSide usual={a} longest={longest} />
        <FlowSide letter="B" flow={b} longest={longest} />
      </div>
      {!a.enough && (
        <Notice kind="info">
          Too few flows of this kind went well in the week before: nothing is called unusual or missing. Times are compared with those of all steps of the same kind.
        </Notice>
      )}
    </SteppedComparison>
  );
}

/** The flows that say what is usual, as one. */
function UsualSide({ usual, longest }: { readonly usual: UsualFlows; readonly longest: number }) {
  const { name, p50_ms: median, p95_ms: p95 } = usual;
  return (
    <section className={styles["side"]} data-testid="side-usual" data-letter="A">
      <h2 className={styles["name"]}>
        <span className="truncate">Usual {name ?? "flow"}</span>
      </h2>
      <p className={styles["facts"]}>
        {median !== null && <strong>{duration(median)}</strong>}
        {p95 !== null && <span>p95 {duration(p95)}</span>}
        <span>{usual.flows.toLocaleString()} flows of the week before that went well</span>
      </p>
      <span className={styles["track"]} aria-hidden="true">
        <span className={styles["length"]} style={{ width: `${((median ?? 0) / longest) * 100}%` }} />
      </span>
    </section>
  );
}
