import { ChevronDown, ChevronRight, Pin } from "lucide-react";
import { memo } from "react";
import { withoutModule } from "../format";
import type { RowFacts } from "../tree/rowFacts";
import { PercentileBadge } from "./PercentileBadge";
import { StateSign } from "./StateSign";
import styles from "./SpanTree.module.css";

interface Props extends RowFacts {
  readonly selected: boolean;
  /** The same function every time, as everything else here is: otherwise it is drawn anew with every change of its tree. */
  readonly onOpen: (rowKey: string) => void;
  readonly onToggle?: (rowKey: string) => void;
  readonly id?: string;
  readonly top?: number;
  readonly rowIndex?: number;
  /** How many of 100 steps of its kind took no longer. */
  readonly percentile?: number | undefined;
  readonly pinned?: boolean;
  readonly focused?: boolean;
  readonly found?: boolean;
  readonly critical?: boolean;
}

/** Beyond this depth rows are not indented any further; the level is still told. */
const DEEPEST_INDENT = 24;

/** What took no longer than that is nothing to look at. */
const UNUSUAL = 95;

export const SpanRow = memo(function SpanRow(props: Props) {
  const { rowKey, run, look, why, percentile, selected, onOpen, onToggle, id, top, rowIndex, pinned = false, focused = false, found = false, critical = false } = props;
  const { expandable, folded, errors, denials } = props;
  const marks = [focused && "focused", found && "found", critical && "critical", pinned && "pinned", props.checkpoint ? "checkpoint" : "plain"];
  return (
    <div
      id={id}
      role="row"
      className={[styles["row"], ...marks.map((mark) => mark !== false && styles[mark])].filter(Boolean).join(" ")}
      style={top === undefined ? undefined : { transform: `translateY(${top}px)` }}
      aria-level={props.depth + 1}
      aria-rowindex={rowIndex}
      aria-expanded={expandable ? !folded : undefined}
      aria-selected={selected}
      data-testid={pinned ? "pinned-node" : run === null ? "node" : "run"}
      data-node-id={props.nodeId}
      data-event-type={props.eventType}
      data-look={look.look}
      data-critical={critical}
      data-kind={props.kind}
      onClick={() => onOpen(rowKey)}
    >
      <div role="gridcell" className={styles["step"]} style={{ paddingInlineStart: `${Math.min(props.depth, DEEPEST_INDENT)}em` }}>
        <span
          className={styles["fold"]}
          aria-hidden="true"
          onClick={(event) => {
            if (!expandable) return;
            event.stopPropagation();
            onToggle?.(rowKey);
          }}
        >
          {pinned ? <Pin size={12} /> : expandable && (folded ? <ChevronRight size={14} /> : <ChevronDown size={14} />)}
        </span>
        <StateSign look={look} silent />
        <span className={`${styles["label"]} truncate`} title={props.name}>
          {props.label}
        </span>
        {run !== null && <span className={styles["count"]}>× {run}</span>}
        {props.hidden > 0 && <span className={styles["count"]}>+{props.hidden}</span>}
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
        {props.outside && <span className={styles["count"]} title="Its clock was wrong: it says that it lies outside of the flow">⚠</span>}
      </div>
      <div role="gridcell" className={`${styles["state"]} truncate`} data-look={look.look}>
        {/* Why it went wrong says more than that it did, which the sign says too. */}
        <span className={look.look === "ok" || why !== null ? "visually-hidden" : undefined}>{look.words}</span>
        {why !== null && (
          <span title={why}>
            <span className="visually-hidden">: </span>
            {withoutModule(why)}
          </span>
        )}
        {percentile !== undefined && percentile >= UNUSUAL && <PercentileBadge percentile={percentile} />}
      </div>
      <div role="gridcell" className={`${styles["time"]} number`} data-testid={pinned ? undefined : "node-duration"}>
        {props.took}
      </div>
      <div role="presentation" className={styles["lane"]} aria-hidden="true" data-lane="">
        {props.left !== null && (
          <span className={styles["bar"]} data-look={look.look} style={{ left: `${props.left}%`, width: `${props.width}%` }} />
        )}
      </div>
    </div>
  );
});
