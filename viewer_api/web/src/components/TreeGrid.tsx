import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from "react";
import type { Tree, TreeNode } from "../reducer/tree";
import type { Timeline } from "../tree/timeline";
import { afterKey, toggled, visibleRows, type Focus } from "../tree/visibleRows";
import { NodeDetails } from "./NodeDetails";
import { NodeRow } from "./NodeRow";

interface Props {
  readonly tree: Tree;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly label: string;
}

const ROW_HEIGHT = 26;
/** Beyond so many rows only those in view are in the page. */
const ALL_UP_TO = 300;
const AROUND = 20;

/** A tree as an accessible grid: arrow keys walk and fold, Enter shows a node's details. */
export function TreeGrid({ tree, timeline, nowNs, label }: Props) {
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const [focus, setFocus] = useState<Focus>({ nodeId: "", collapsed: new Set() });
  const [opened, setOpened] = useState<string | null>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const rows = useMemo(() => visibleRows(tree, focus.collapsed), [tree, focus.collapsed]);
  const focused = rows.find((row) => row.nodeId === focus.nodeId) ?? rows[0];
  const focusedIndex = focused === undefined ? -1 : rows.indexOf(focused);
  useEffect(() => {
    const box = scroller.current;
    if (box === null || focus.nodeId === "" || focusedIndex < 0) return;
    const top = focusedIndex * ROW_HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW_HEIGHT - box.clientHeight;
    // Only when the focus moves: new rows must not make the grid jump.
  }, [focus.nodeId]);
  const toggleOpened = (node: TreeNode) => setOpened(opened === node.nodeId ? null : node.nodeId);
  const onKey = (event: KeyboardEvent) => {
    if (focused === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") toggleOpened(focused);
    else if (event.key === "Escape" && opened !== null) setOpened(null);
    else {
      const next = afterKey(event.key, rows, { ...focus, nodeId: focused.nodeId });
      if (next === undefined) return;
      setFocus(next);
    }
    event.preventDefault();
  };
  const all = rows.length <= ALL_UP_TO;
  const first = all ? 0 : Math.max(Math.floor(view.top / ROW_HEIGHT) - AROUND, 0);
  const end = all ? rows.length : Math.min(Math.ceil((view.top + view.height) / ROW_HEIGHT) + AROUND, rows.length);
  const openedNode = opened === null ? undefined : tree.nodes.get(opened);
  return (
    <>
      <div
        ref={scroller}
        className="tree"
        role="treegrid"
        aria-label={label}
        aria-rowcount={rows.length}
        aria-activedescendant={focused === undefined ? undefined : `${id}-${focused.nodeId}`}
        tabIndex={0}
        data-testid="tree"
        onKeyDown={onKey}
        onScroll={({ currentTarget: box }) => {
          if (!all) setView({ top: box.scrollTop, height: box.clientHeight });
        }}
      >
        <div role="presentation" style={{ height: first * ROW_HEIGHT }} />
        {rows.slice(first, end).map((node, offset) => (
          <NodeRow
            key={node.nodeId}
            id={`${id}-${node.nodeId}`}
            node={node}
            rowIndex={first + offset + 1}
            timeline={timeline}
            nowNs={nowNs}
            collapsed={focus.collapsed.has(node.nodeId)}
            focused={node === focused}
            opened={node.nodeId === opened}
            onToggle={() => setFocus(toggled(focus, node))}
            onOpen={() => {
              setFocus({ ...focus, nodeId: node.nodeId });
              toggleOpened(node);
            }}
          />
        ))}
        <div role="presentation" style={{ height: (rows.length - end) * ROW_HEIGHT }} />
      </div>
      {openedNode !== undefined && <NodeDetails node={openedNode} nowNs={nowNs} onClose={() => setOpened(null)} />}
    </>
  );
}
