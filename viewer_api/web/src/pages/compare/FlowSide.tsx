import type { FlowSummary } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { count, duration, money } from "../../format";
import { useName } from "../../hooks/useName";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance } from "../../tree/appearance";
import styles from "./TwoFlows.module.css";

interface Props {
  readonly letter: "A" | "B";
  readonly flow: FlowSummary;
  /** How long the longer of the two took. */
  readonly longest: number;
}

/** One of the two flows, in a few words. */
export function FlowSide({ letter, flow, longest }: Props) {
  const tokens = flow.tokens_input + flow.tokens_output;
  const look = outcomeAppearance(flow.outcome, flow.open);
  return (
    <section className={styles["side"]} data-testid={`side-${letter.toLowerCase()}`} data-letter={letter}>
      <h2 className={styles["name"]}>
        <span className={styles["letter"]}>{letter}</span>
        <StateSign look={look} />
        <Link to={to("flow", flow.flow_id)} className="truncate" title={flow.flow_id}>
          {flow.name ?? flow.flow_id}
        </Link>
      </h2>
      <p className={styles["facts"]}>
        <strong>{flow.duration_ms === null ? "–" : duration(flow.duration_ms)}</strong>
        {look.words !== "ok" && (
          <span>
            {look.words}
            {flow.denied_gate !== null && ` at ${flow.denied_gate}`}
          </span>
        )}
        {flow.user_id !== null && <User userId={String(flow.user_id)} />}
        {flow.started_at !== null && <Ago iso={flow.started_at} />}
        <span>{flow.checkpoint_count} steps</span>
        {tokens > 0 && <span>{count(tokens)} tokens</span>}
        {flow.cost !== null && <span>cost {money(flow.cost)}</span>}
      </p>
      <span className={styles["track"]} aria-hidden="true">
        <span className={styles["length"]} style={{ width: `${((flow.duration_ms ?? 0) / longest) * 100}%` }} />
      </span>
    </section>
  );
}

function User({ userId }: { readonly userId: string }) {
  return <Link to={to("users", userId)}>{useName(userId, undefined)}</Link>;
}
