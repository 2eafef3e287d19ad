import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useId, useMemo, useRef, type KeyboardEvent } from "react";
import type { Tree, TreeNode } from "../reducer/tree";
import type { Timeline } from "../tree/timeline";
import { afterKey, toggled, visibleRows, type Focus } from "../tree/visibleRows";
import { SpanRow } from "./SpanRow";
import styles from "./SpanTree.module.css";

interface Props {
  readonly tree: Tree;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly label: string;
  readonly focus: Focus;
  readonly onFocus: (focus: Focus) => void;
  /** The span whose details are shown. */
  readonly selected: string | null;
  readonly onSelect: (nodeId: string | null) => void;
  /** Spans that the search has found. */
  readonly found?: ReadonlySet<string>;
  readonly critical?: ReadonlySet<string>;
}

const ROW_HEIGHT = 28;
/** Beyond so many rows only those in view are in the page. */
const ALL_UP_TO = 100;

/** A tree beside its waterfall, as an accessible grid: arrow keys walk and fold, Enter shows a span's details. */
export function SpanTree({ tree, timeline, nowNs, label, focus, onFocus, selected, onSelect, found, critical }: Props) {
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => visibleRows(tree, focus.collapsed), [tree, focus.collapsed]);
  const focusedIndex = Math.max(rows.findIndex((row) => row.nodeId === focus.nodeId), 0);
  const focused = rows[focusedIndex];
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: rows.length <= ALL_UP_TO ? ALL_UP_TO : 16,
    getItemKey: (index) => rows[index]?.nodeId ?? index,
  });
  useEffect(() => {
    if (focus.nodeId !== "") virtual.scrollToIndex(focusedIndex, { align: "auto" });
    // Only when the focus moves: rows that come must not make the tree jump.
  }, [focus.nodeId]);
  const onKey = (event: KeyboardEvent) => {
    if (focused === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") onSelect(selected === focused.nodeId ? null : focused.nodeId);
    else if (event.key === "Escape" && selected !== null) onSelect(null);
    else {
      const next = afterKey(event.key, rows, { ...focus, nodeId: focused.nodeId });
      if (next === undefined) return;
      onFocus(next);
      if (selected !== null) onSelect(next.nodeId);
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const open = (node: TreeNode) => {
    onFocus({ ...focus, nodeId: node.nodeId });
    onSelect(selected === node.nodeId ? null : node.nodeId);
  };
  return (
    <div
      ref={scroller}
      className={styles["tree"]}
      role="treegrid"
      aria-label={label}
      aria-rowcount={rows.length}
      aria-activedescendant={focused === undefined ? undefined : `${id}-${focused.nodeId}`}
      tabIndex={0}
      data-testid="tree"
      onKeyDown={onKey}
    >
      <div role="presentation" className={styles["rows"]} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const node = rows[index];
          if (node === undefined) return null;
          return (
            <SpanRow
              key={node.nodeId}
              id={`${id}-${node.nodeId}`}
              node={node}
              top={start}
              rowIndex={index + 1}
              timeline={timeline}
              nowNs={nowNs}
              collapsed={focus.collapsed.has(node.nodeId)}
              focused={node === focused}
              selected={node.nodeId === selected}
              found={found?.has(node.nodeId) === true}
              critical={critical?.has(node.nodeId) === true}
              onToggle={() => onFocus(toggled(focus, node))}
              onOpen={() => open(node)}
            />
          );
        })}
      </div>
    </div>
  );
}
