import { ChevronDown, ChevronRight, Pin } from "lucide-react";
import { durationNs } from "../format";
import { isCheckpoint } from "../reducer/event";
import { explanation, label, type Appearance } from "../tree/appearance";
import { kindOf } from "../tree/kind";
import type { Row } from "../tree/rows";
import type { Sums } from "../tree/sums";
import { bar, elapsedNs, type Timeline } from "../tree/timeline";
import { PercentileBadge } from "./PercentileBadge";
import { StateSign } from "./StateSign";
import styles from "./SpanTree.module.css";

interface Props {
  readonly row: Row;
  readonly look: Appearance;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly selected: boolean;
  readonly onOpen: () => void;
  readonly onToggle?: () => void;
  readonly id?: string;
  readonly top?: number;
  readonly rowIndex?: number;
  /** How many of 100 steps of its kind took no longer. */
  readonly percentile?: number | undefined;
  /** What is folded away behind this row. */
  readonly below?: Sums | undefined;
  readonly pinned?: boolean;
  readonly focused?: boolean;
  readonly found?: boolean;
  readonly critical?: boolean;
}

/** Beyond this depth rows are not indented any further; the level is still told. */
const DEEPEST_INDENT = 24;

/** What took no longer than that is nothing to look at. */
const UNUSUAL = 95;

export function SpanRow(props: Props) {
  const { row, look, timeline, nowNs, selected, onOpen, onToggle, id, top, rowIndex, percentile, below, pinned = false, focused = false, found = false, critical = false } = props;
  const { node, run, depth, expandable, folded } = row;
  const nodes = run ?? [node];
  const elapsed = run === null ? elapsedNs(node, nowNs) : nodes.reduce((sum, each) => sum + (elapsedNs(each, nowNs) ?? 0n), 0n);
  const drawn = bar(nodes, timeline, nowNs);
  const why = run === null ? explanation(node) : null;
  const checkpoint = node.entry !== undefined && isCheckpoint(node.entry);
  const marks = [focused && "focused", found && "found", critical && "critical", pinned && "pinned", checkpoint ? "checkpoint" : "plain"];
  const took = elapsed === undefined ? "–" : durationNs(elapsed);
  const hidden = below === undefined ? 0 : below.spans - (run === null ? 1 : 0);
  return (
    <div
      id={id}
      role="row"
      className={[styles["row"], ...marks.map((mark) => mark !== false && styles[mark])].filter(Boolean).join(" ")}
      style={top === undefined ? undefined : { transform: `translateY(${top}px)` }}
      aria-level={depth + 1}
      aria-rowindex={rowIndex}
      aria-expanded={expandable ? !folded : undefined}
      aria-selected={selected}
      data-testid={pinned ? "pinned-node" : run === null ? "node" : "run"}
      data-node-id={node.nodeId}
      data-event-type={node.entry?.event_type ?? ""}
      data-look={look.look}
      data-critical={critical}
      data-kind={kindOf(node.entry?.event_type)}
      onClick={onOpen}
    >
      <div role="gridcell" className={styles["step"]} style={{ paddingInlineStart: `${Math.min(depth, DEEPEST_INDENT)}em` }}>
        <span
          className={styles["fold"]}
          aria-hidden="true"
          onClick={(event) => {
            if (!expandable) return;
            event.stopPropagation();
            onToggle?.();
          }}
        >
          {pinned ? <Pin size={12} /> : expandable && (folded ? <ChevronRight size={14} /> : <ChevronDown size={14} />)}
        </span>
        <StateSign look={look} silent />
        <span className={`${styles["label"]} truncate`} title={node.entry?.name}>
          {label(node)}
        </span>
        {run !== null && <span className={styles["count"]}>× {run.length}</span>}
        {hidden > 0 && run === null && <span className={styles["count"]}>+{hidden}</span>}
        {below !== undefined && <Failures below={below} own={run === null ? look.look : ""} />}
        {node.outsideFlow && run === null && <span className={styles["count"]} title="Its clock was wrong: it says that it lies outside of the flow">⚠</span>}
      </div>
      <div role="gridcell" className={`${styles["state"]} truncate`} data-look={look.look}>
        {look.look === "ok" ? <span className="visually-hidden">ok</span> : look.words}
        {why !== null && <span title={why}>: {why}</span>}
        {percentile !== undefined && percentile >= UNUSUAL && <PercentileBadge percentile={percentile} />}
      </div>
      <div role="gridcell" className={`${styles["time"]} number`} data-testid={pinned ? undefined : "node-duration"}>
        {took}
      </div>
      <div role="presentation" className={styles["lane"]} aria-hidden="true" data-lane="">
        {drawn !== null && (
          <span
            className={styles["bar"]}
            data-look={look.look}
            style={{ left: `${drawn.left}%`, width: `${drawn.width}%` }}
          />
        )}
      </div>
    </div>
  );
}

/** What went wrong in what is folded away; the row itself says what is its own. */
function Failures({ below, own }: { readonly below: Sums; readonly own: string }) {
  const errors = below.errors - (own === "error" ? 1 : 0);
  const denials = below.denials - (own === "denied" ? 1 : 0);
  return (
    <>
      {errors > 0 && (
        <span className={styles["failed"]} data-look="error" data-testid="errors-below">
          <span aria-hidden="true">✕ {errors}</span>
          <span className="visually-hidden">{errors} errors folded away</span>
        </span>
      )}
      {denials > 0 && (
        <span className={styles["failed"]} data-look="denied" data-testid="denials-below">
          <span aria-hidden="true">⊘ {denials}</span>
          <span className="visually-hidden">{denials} denials folded away</span>
        </span>
      )}
    </>
  );
}
