import { durationNs } from "../format";
import { isCheckpoint } from "../reducer/event";
import type { TreeNode } from "../reducer/tree";
import { appearance, explanation, label } from "../tree/appearance";
import { bar, elapsedNs, type Timeline } from "../tree/timeline";
import { Sign } from "./Sign";

interface Props {
  readonly id: string;
  readonly node: TreeNode;
  readonly rowIndex: number;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly collapsed: boolean;
  readonly focused: boolean;
  readonly opened: boolean;
  readonly onToggle: () => void;
  readonly onOpen: () => void;
}

/** Beyond this depth rows are not indented any further; the level is still told. */
const DEEPEST_INDENT = 24;

export function NodeRow({ id, node, rowIndex, timeline, nowNs, collapsed, focused, opened, onToggle, onOpen }: Props) {
  const look = appearance(node);
  const elapsed = elapsedNs(node, nowNs);
  const { left, width } = bar(node, timeline, nowNs);
  const parent = node.children.length > 0;
  const why = explanation(node);
  const kind = node.entry !== undefined && isCheckpoint(node.entry) ? "checkpoint" : "plain";
  return (
    <div
      id={id}
      role="row"
      className={`node ${look.look} ${kind}${focused ? " focused" : ""}`}
      aria-level={node.depth + 1}
      aria-rowindex={rowIndex}
      aria-expanded={parent ? !collapsed : undefined}
      aria-selected={opened}
      data-testid="node"
      data-node-id={node.nodeId}
      data-event-type={node.entry?.event_type ?? ""}
      data-look={look.look}
      onClick={onOpen}
    >
      <div role="gridcell" className="step" style={{ paddingInlineStart: `${Math.min(node.depth, DEEPEST_INDENT)}em` }}>
        <span
          className="fold"
          aria-hidden="true"
          onClick={(event) => {
            if (!parent) return;
            event.stopPropagation();
            onToggle();
          }}
        >
          {parent ? (collapsed ? "▸" : "▾") : ""}
        </span>
        <Sign look={look} silent />
        <span className="label" title={node.entry?.name}>
          {label(node)}
        </span>
        {collapsed && <span className="quiet"> +{node.children.length}</span>}
      </div>
      <div role="gridcell" className="state">
        {look.look === "ok" ? <span className="unseen">ok</span> : look.words}
        {why !== null && <span title={why}>: {why}</span>}
      </div>
      <div role="gridcell" className="time" data-testid="node-duration">
        {elapsed === undefined ? "–" : durationNs(elapsed)}
      </div>
      <div role="presentation" className="lane" aria-hidden="true">
        <span className="bar" style={{ left: `${left}%`, width: `${width}%` }} />
      </div>
    </div>
  );
}
