import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { useShortcuts } from "../../app/shortcuts";
import type { FlowSummary } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance, reasonWords } from "../../tree/appearance";
import styles from "./FlowTable.module.css";

interface Props {
  readonly flows: readonly FlowSummary[];
  /** Set for who sees their own flows only: then there is no column for the user. */
  readonly own: string | null;
  readonly more: boolean;
  readonly loading: boolean;
  readonly onMore: () => void;
}

const ROW_HEIGHT = 46;
const BEFORE_THE_END = 15;

/** Flows, one row each; only the rows in view are in the page, and older ones are read as one scrolls. */
export function FlowTable({ flows, own, more, loading, onMore }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: flows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    getItemKey: (index) => flows[index]?.flow_id ?? index,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (more && !loading && last >= flows.length - BEFORE_THE_END) onMore();
  }, [more, loading, last, flows.length]);
  const step = (by: number) => {
    const links = [...(scroller.current?.querySelectorAll<HTMLElement>("[data-testid=flow-row] a[data-testid=flow-link]") ?? [])];
    const at = links.findIndex((link) => link === document.activeElement);
    links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };
  useShortcuts([
    { keys: "j", text: "Next row", group: "Lists", run: () => step(1) },
    { keys: "k", text: "Previous row", group: "Lists", run: () => step(-1) },
  ]);
  const longest = Math.max(1, ...flows.map((flow) => flow.duration_ms ?? 0));
  return (
    <div ref={scroller} className={styles["scroller"]} data-own={own !== null}>
      <div role="table" aria-label="Flows" aria-rowcount={more ? -1 : flows.length + 1} data-testid="flow-list">
        <div role="row" className={`${styles["row"]} ${styles["head"]}`}>
          <span role="columnheader">Outcome</span>
          <span role="columnheader">Request</span>
          {own === null && <span role="columnheader">User</span>}
          <span role="columnheader">Tools</span>
          <span role="columnheader" className="number">
            Took
          </span>
          <span role="columnheader" className="number">
            Tokens
          </span>
          <span role="columnheader" className="number">
            Cost
          </span>
          <span role="columnheader">Began</span>
        </div>
        <div role="rowgroup" className={styles["rows"]} style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, start }) => {
            const flow = flows[index];
            return flow === undefined ? null : <FlowRow key={flow.flow_id} flow={flow} top={start} index={index} own={own} longest={longest} />;
          })}
        </div>
      </div>
      {loading && (
        <p className="quiet" role="status">
          Older flows are loading…
        </p>
      )}
    </div>
  );
}

interface RowProps {
  readonly flow: FlowSummary;
  readonly top: number;
  readonly index: number;
  readonly own: string | null;
  readonly longest: number;
}

function FlowRow({ flow, top, index, own, longest }: RowProps) {
  const look = outcomeAppearance(flow.outcome, flow.open);
  const why = flow.denied_reason ?? flow.error_message ?? reasonWords(flow.outcome_reason);
  const tokens = flow.tokens_input + flow.tokens_output;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={styles["row"]}
      style={{ transform: `translateY(${top}px)` }}
      data-testid="flow-row"
      data-flow-id={flow.flow_id}
      data-look={look.look}
    >
      <span role="cell" className={styles["outcome"]}>
        <StateSign look={look} silent />
        <span className={styles["stack"]}>
          <span className="truncate">
            {look.words}
            {flow.denied_gate !== null && <span className="quiet"> at {flow.denied_gate}</span>}
          </span>
          {why !== null && (
            <span className={`${styles["small"]} truncate`} title={why}>
              {why}
            </span>
          )}
        </span>
      </span>
      <span role="cell" className={styles["stack"]}>
        <Link to={to("flow", flow.flow_id)} className={`${styles["name"]} truncate`} title={flow.name ?? flow.flow_id} testId="flow-link">
          {flow.name ?? flow.flow_id}
        </Link>
        <span className={`${styles["small"]} truncate`}>
          {flow.checkpoint_count} {flow.checkpoint_count === 1 ? "step" : "steps"}
          {flow.error_count > 0 && ` · ${flow.error_count} failed`}
          {flow.models.length > 0 && ` · ${flow.models.join(", ")}`}
        </span>
      </span>
      {own === null && (
        <span role="cell" className="truncate">
          {flow.user_id === null ? (
            <span className="quiet">no user</span>
          ) : (
            <Link to={to("flows", null, { user_id: String(flow.user_id) })} className={styles["user"] ?? ""} title={`user ${flow.user_id}`}>
              {flow.email ?? flow.full_name ?? `user ${flow.user_id}`}
            </Link>
          )}
        </span>
      )}
      <span role="cell" className={styles["tools"]} title={flow.tools.join(", ")}>
        {flow.tools.slice(0, 3).map((tool) => (
          <span key={tool} className={`${styles["chip"]} truncate`}>
            {tool}
          </span>
        ))}
        {flow.tools.length > 3 && <span className="quiet">+{flow.tools.length - 3}</span>}
      </span>
      <span role="cell" className={`${styles["took"]} number`}>
        {flow.duration_ms === null ? "–" : duration(flow.duration_ms)}
        {flow.duration_ms !== null && (
          <span className={styles["track"]} aria-hidden="true">
            <span className={styles["bar"]} style={{ width: `${Math.max((flow.duration_ms / longest) * 100, 1)}%` }} />
          </span>
        )}
      </span>
      <span role="cell" className="number">
        {tokens === 0 ? "–" : count(tokens)}
      </span>
      <span role="cell" className="number">
        {flow.cost === null ? "–" : money(flow.cost)}
      </span>
      <span role="cell" className={styles["moment"]}>
        {flow.started_at === null ? "–" : <Ago iso={flow.started_at} />}
      </span>
    </div>
  );
}
