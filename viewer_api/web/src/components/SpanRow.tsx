import { ChevronDown, ChevronRight } from "lucide-react";
import { durationNs } from "../format";
import { isCheckpoint } from "../reducer/event";
import type { TreeNode } from "../reducer/tree";
import { appearance, explanation, label } from "../tree/appearance";
import { kindOf } from "../tree/kind";
import { bar, elapsedNs, type Timeline } from "../tree/timeline";
import { StateSign } from "./StateSign";
import styles from "./SpanTree.module.css";

interface Props {
  readonly id: string;
  readonly node: TreeNode;
  readonly top: number;
  readonly rowIndex: number;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly collapsed: boolean;
  readonly focused: boolean;
  readonly selected: boolean;
  readonly found: boolean;
  readonly critical: boolean;
  readonly onToggle: () => void;
  readonly onOpen: () => void;
}

/** Beyond this depth rows are not indented any further; the level is still told. */
const DEEPEST_INDENT = 24;

export function SpanRow(props: Props) {
  const { id, node, top, rowIndex, timeline, nowNs, collapsed, focused, selected, found, critical, onToggle, onOpen } = props;
  const look = appearance(node);
  const elapsed = elapsedNs(node, nowNs);
  const { left, width } = bar(node, timeline, nowNs);
  const parent = node.children.length > 0;
  const why = explanation(node);
  const checkpoint = node.entry !== undefined && isCheckpoint(node.entry);
  const marks = [focused && "focused", found && "found", critical && "critical", checkpoint ? "checkpoint" : "plain"];
  return (
    <div
      id={id}
      role="row"
      className={[styles["row"], ...marks.map((mark) => mark !== false && styles[mark])].filter(Boolean).join(" ")}
      style={{ transform: `translateY(${top}px)` }}
      aria-level={node.depth + 1}
      aria-rowindex={rowIndex}
      aria-expanded={parent ? !collapsed : undefined}
      aria-selected={selected}
      data-testid="node"
      data-node-id={node.nodeId}
      data-event-type={node.entry?.event_type ?? ""}
      data-look={look.look}
      data-kind={kindOf(node.entry?.event_type)}
      onClick={onOpen}
    >
      <div role="gridcell" className={styles["step"]} style={{ paddingInlineStart: `${Math.min(node.depth, DEEPEST_INDENT)}em` }}>
        <span
          className={styles["fold"]}
          aria-hidden="true"
          onClick={(event) => {
            if (!parent) return;
            event.stopPropagation();
            onToggle();
          }}
        >
          {parent && (collapsed ? <ChevronRight size={14} /> : <ChevronDown size={14} />)}
        </span>
        <StateSign look={look} silent />
        <span className={`${styles["label"]} truncate`} title={node.entry?.name}>
          {label(node)}
        </span>
        {collapsed && <span className={styles["count"]}>+{node.children.length}</span>}
      </div>
      <div role="gridcell" className={`${styles["state"]} truncate`} data-look={look.look}>
        {look.look === "ok" ? <span className="visually-hidden">ok</span> : look.words}
        {why !== null && <span title={why}>: {why}</span>}
      </div>
      <div role="gridcell" className={`${styles["time"]} number`} data-testid="node-duration">
        {elapsed === undefined ? "–" : durationNs(elapsed)}
      </div>
      <div role="presentation" className={styles["lane"]} aria-hidden="true">
        <span className={styles["bar"]} data-look={look.look} style={{ left: `${left}%`, width: `${width}%` }} />
      </div>
    </div>
  );
}
