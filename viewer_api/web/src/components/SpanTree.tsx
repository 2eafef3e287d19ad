import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useId, useLayoutEffect, useMemo, useRef, type KeyboardEvent, type ReactNode } from "react";
import type { Tree, TreeNode } from "../reducer/tree";
import { appearance, worst, type Appearance } from "../tree/appearance";
import { afterKey, rowsOf, toggled, type Focus, type Row } from "../tree/rows";
import { sumsOf, total } from "../tree/sums";
import type { Timeline } from "../tree/timeline";
import { SpanRow } from "./SpanRow";
import styles from "./SpanTree.module.css";

interface Props {
  readonly tree: Tree;
  /** Where the shown part of the tree begins; all of it when left out. */
  readonly roots?: readonly TreeNode[];
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly label: string;
  readonly focus: Focus;
  readonly onFocus: (focus: Focus) => void;
  /** The span whose details are shown. */
  readonly selected: string | null;
  readonly onSelect: (nodeId: string | null) => void;
  /** How the flow's root looks: as the whole flow, whatever its own span says. */
  readonly rootLook?: { readonly nodeId: string; readonly look: Appearance } | undefined;
  /** Spans that the search has found. */
  readonly found?: ReadonlySet<string>;
  readonly critical?: ReadonlySet<string>;
  /** How many of 100 steps of its kind took no longer, by span. */
  readonly percentiles?: ReadonlyMap<string, number>;
  /** Spans that stay at the top. */
  readonly pinned?: readonly string[];
  /** What stands above the columns, such as the time axis. */
  readonly header?: ReactNode;
  /** Whether new rows are scrolled to, as long as the last row is in view. */
  readonly follow?: boolean;
}

const ROW_HEIGHT = 28;
const HEADER_HEIGHT = 28;
/** Beyond so many rows only those in view are in the page. */
const ALL_UP_TO = 100;
const NO_PINS: readonly string[] = [];

/** A tree beside its waterfall, as an accessible grid: arrow keys walk and fold, Enter shows a span's details. */
export function SpanTree(props: Props) {
  const { tree, roots = tree.roots, timeline, nowNs, label, focus, onFocus, selected, onSelect, rootLook, found, critical, percentiles, pinned = NO_PINS, header, follow = false } = props;
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const { collapsed, opened } = focus;
  const rows = useMemo(() => rowsOf(roots, { collapsed, opened }), [roots, collapsed, opened]);
  const places = useMemo(() => new Map(rows.map((row, index) => [row.key, index])), [rows]);
  const sums = useMemo(() => sumsOf(tree), [tree]);
  const focusedIndex = places.get(focus.at) ?? 0;
  const focused = rows[focusedIndex];
  const pins = pinned.flatMap((nodeId) => tree.nodes.get(nodeId) ?? []);
  const above = header === undefined ? 0 : HEADER_HEIGHT + pins.length * ROW_HEIGHT;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: rows.length <= ALL_UP_TO ? ALL_UP_TO : 16,
    scrollPaddingEnd: above,
    getItemKey: (index) => rows[index]?.key ?? index,
  });
  useEffect(() => {
    if (focus.at !== "") virtual.scrollToIndex(focusedIndex, { align: "auto" });
    // Only when the focus moves: rows that come must not make the tree jump.
  }, [focus.at]);
  const atBottom = useRef(true);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (follow && element !== null && atBottom.current) element.scrollTop = element.scrollHeight;
  }, [follow, rows.length]);
  const onScroll = () => {
    const element = scroller.current;
    if (element !== null) atBottom.current = element.scrollHeight - element.scrollTop - element.clientHeight < ROW_HEIGHT;
  };
  const open = (row: Row) => {
    if (row.run !== null) return onFocus(toggled(focus, row));
    onFocus({ ...focus, at: row.key });
    onSelect(selected === row.key ? null : row.key);
  };
  const onKey = (event: KeyboardEvent) => {
    if (focused === undefined || event.altKey || event.ctrlKey || event.metaKey || event.target !== scroller.current) return;
    if (event.key === "Enter" || event.key === " ") open(focused);
    else if (event.key === "Escape" && selected !== null) onSelect(null);
    else {
      const next = afterKey(event.key, rows, focusedIndex, { ...focus, at: focused.key });
      if (next === undefined) return;
      onFocus(next);
      if (selected !== null && tree.nodes.has(next.at)) onSelect(next.at);
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const look = ({ node, run }: Pick<Row, "node" | "run">) =>
    run !== null ? worst(run) : node.nodeId === rootLook?.nodeId ? rootLook.look : appearance(node);
  const shared = { timeline, nowNs };
  return (
    <div
      ref={scroller}
      className={styles["tree"]}
      role="treegrid"
      aria-label={label}
      aria-rowcount={rows.length}
      aria-activedescendant={focused === undefined ? undefined : `${id}-${focused.key}`}
      tabIndex={0}
      data-testid="tree"
      onKeyDown={onKey}
      onScroll={onScroll}
    >
      {header !== undefined && (
        <div role="presentation" className={styles["above"]}>
          {header}
          {pins.map((node) => (
            <SpanRow
              key={node.nodeId}
              {...shared}
              row={{ key: node.nodeId, node, run: null, depth: 0, parent: -1, expandable: false, folded: false }}
              look={look({ node, run: null })}
              pinned
              selected={node.nodeId === selected}
              critical={critical?.has(node.nodeId) === true}
              onOpen={() => onSelect(selected === node.nodeId ? null : node.nodeId)}
            />
          ))}
        </div>
      )}
      <div role="presentation" className={styles["rows"]} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          const nodes = row.run ?? [row.node];
          return (
            <SpanRow
              key={row.key}
              {...shared}
              id={`${id}-${row.key}`}
              row={row}
              look={look(row)}
              top={start}
              rowIndex={index + 1}
              percentile={row.run === null ? percentiles?.get(row.node.nodeId) : undefined}
              below={row.folded ? total(nodes, sums) : undefined}
              focused={row === focused}
              selected={row.key === selected}
              found={found !== undefined && nodes.some(({ nodeId }) => found.has(nodeId))}
              critical={critical !== undefined && nodes.some(({ nodeId }) => critical.has(nodeId))}
              onToggle={() => onFocus(toggled(focus, row))}
              onOpen={() => open(row)}
            />
          );
        })}
      </div>
    </div>
  );
}
