import { useVirtualizer, type Virtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useId, useMemo, useRef, type KeyboardEvent, type ReactNode, type RefObject } from "react";
import type { Tree, TreeNode } from "../reducer/tree";
import { appearance, worst, type Appearance } from "../tree/appearance";
import { rowFacts } from "../tree/rowFacts";
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
const ALL_UP_TO = 30;
const OVERSCAN = 6;
const NO_PINS: readonly string[] = [];

/** Until it is known how large a tree is. */
const SUPPOSED_SIZE = { width: 400, height: 18 * ROW_HEIGHT };

/** Tells the virtual list its size when the browser knows it anyway: asking at once would have to lay out the page. */
function observeSize(instance: Virtualizer<HTMLDivElement, Element>, told: (size: { width: number; height: number }) => void) {
  const element = instance.scrollElement;
  if (element === null) return undefined;
  const observer = new ResizeObserver(([entry]) => {
    if (entry !== undefined) told({ width: Math.round(entry.contentRect.width), height: Math.round(entry.contentRect.height) });
  });
  observer.observe(element);
  return () => observer.disconnect();
}

/** Scrolls to the end when rows come, as long as a person has not scrolled away from it; gives what must hear of scrolling. */
function useFollowing(scroller: RefObject<HTMLDivElement | null>, follow: boolean, rows: number): () => void {
  const atEnd = useRef(true);
  const scrolledTo = useRef(-1);
  useEffect(() => {
    if (!follow || !atEnd.current) return undefined;
    // In the next frame, with all other trees: each would have to be laid out by itself.
    const frame = requestAnimationFrame(() => {
      const element = scroller.current;
      if (element === null) return;
      element.scrollTop = element.scrollHeight;
      scrolledTo.current = element.scrollTop;
    });
    return () => cancelAnimationFrame(frame);
  }, [scroller, follow, rows]);
  return () => {
    const element = scroller.current;
    // What has been scrolled here says nothing of the person, even if more rows have come since.
    if (element === null || element.scrollTop === scrolledTo.current) return;
    atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < ROW_HEIGHT;
  };
}

/** A span as a row outside of its tree. */
const alone = (node: TreeNode): Row => ({ key: node.nodeId, node, run: null, depth: 0, parent: -1, expandable: false, folded: false });

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
    overscan: rows.length <= ALL_UP_TO ? ALL_UP_TO : OVERSCAN,
    scrollPaddingEnd: above,
    // Drawing at once would lay out the page once for each of the trees that follow a live flow.
    useFlushSync: false,
    observeElementRect: observeSize,
    initialRect: SUPPOSED_SIZE,
    getItemKey: (index) => rows[index]?.key ?? index,
  });
  useEffect(() => {
    if (focus.at !== "") virtual.scrollToIndex(focusedIndex, { align: "auto" });
    // Only when the focus moves: rows that come must not make the tree jump.
  }, [focus.at]);
  const onScroll = useFollowing(scroller, follow, rows.length);
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
  const latest = useRef({ rows, places, selected, open, toggle: (row: Row) => onFocus(toggled(focus, row)), select: onSelect });
  latest.current = { rows, places, selected, open, toggle: (row) => onFocus(toggled(focus, row)), select: onSelect };
  const rowAt = (key: string) => latest.current.rows[latest.current.places.get(key) ?? -1];
  const onOpen = useCallback((key: string) => {
    const row = rowAt(key);
    if (row !== undefined) latest.current.open(row);
  }, []);
  const onToggle = useCallback((key: string) => {
    const row = rowAt(key);
    if (row !== undefined) latest.current.toggle(row);
  }, []);
  const onPinned = useCallback((key: string) => latest.current.select(latest.current.selected === key ? null : key), []);
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
              {...rowFacts(alone(node), look(alone(node)), timeline, nowNs, undefined)}
              pinned
              selected={node.nodeId === selected}
              critical={critical?.has(node.nodeId) === true}
              onOpen={onPinned}
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
              {...rowFacts(row, look(row), timeline, nowNs, row.folded ? total(nodes, sums) : undefined)}
              id={`${id}-${row.key}`}
              top={start}
              rowIndex={index + 1}
              percentile={row.run === null ? percentiles?.get(row.node.nodeId) : undefined}
              focused={row === focused}
              selected={row.key === selected}
              found={found !== undefined && nodes.some(({ nodeId }) => found.has(nodeId))}
              critical={critical !== undefined && nodes.some(({ nodeId }) => critical.has(nodeId))}
              onToggle={onToggle}
              onOpen={onOpen}
            />
          );
        })}
      </div>
    </div>
  );
}
