import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { StateSign } from "../../components/StateSign";
import { durationNs } from "../../format";
import type { FlowTree } from "../../hooks/useFlowTree";
import { walk, type TreeNode } from "../../reducer/tree";
import { appearance, label, type Appearance } from "../../tree/appearance";
import { elapsedNs } from "../../tree/timeline";
import styles from "./TableView.module.css";

interface Props {
  readonly shown: FlowTree;
  readonly selected: string | null;
  readonly onSelect: (nodeId: string | null) => void;
}

const ROW_HEIGHT = 28;

interface Context {
  readonly startNs: bigint;
  readonly nowNs: bigint;
  readonly order: number;
  readonly look: Appearance;
}

interface Column {
  readonly id: string;
  readonly title: string;
  readonly number?: boolean;
  readonly value: (node: TreeNode, context: Context) => string | number | bigint;
  readonly text: (node: TreeNode, context: Context) => string;
}

const COLUMNS: readonly Column[] = [
  { id: "order", title: "#", number: true, value: (_, { order }) => order, text: (_, { order }) => String(order + 1) },
  { id: "step", title: "Step", value: label, text: label },
  { id: "type", title: "Type", value: (node) => node.entry?.event_type ?? "", text: (node) => node.entry?.event_type ?? "" },
  { id: "state", title: "State", value: (_, { look }) => look.words, text: (_, { look }) => look.words },
  {
    id: "began",
    title: "Began after",
    number: true,
    value: (node, { startNs }) => (node.startNs ?? startNs) - startNs,
    text: (node, { startNs }) => (node.startNs === undefined ? "–" : durationNs(node.startNs - startNs)),
  },
  {
    id: "took",
    title: "Took",
    number: true,
    value: (node, { nowNs }) => elapsedNs(node, nowNs) ?? -1n,
    text: (node, { nowNs }) => {
      const elapsed = elapsedNs(node, nowNs);
      return elapsed === undefined ? "–" : durationNs(elapsed);
    },
  },
  { id: "depth", title: "Depth", number: true, value: (node) => node.depth, text: (node) => String(node.depth) },
];

/** Every span as one row, sorted by any column. */
export default function TableView({ shown, selected, onSelect }: Props) {
  const { tree, nowNs, rootLook } = shown;
  const { startNs } = shown.timeline;
  const [sort, setSort] = useState<{ readonly id: string; readonly down: boolean }>({ id: "order", down: false });
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => {
    const column = COLUMNS.find(({ id }) => id === sort.id);
    const all = [...walk(tree)].map((node, order) => {
      const context = { startNs, nowNs, order, look: node.nodeId === rootLook?.nodeId ? rootLook.look : appearance(node) };
      return { node, context, order, key: column?.value(node, context) ?? order };
    });
    const sign = sort.down ? -1 : 1;
    return all.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.order - b.order));
  }, [tree, sort, startNs, nowNs, rootLook]);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_HEIGHT, overscan: 12 });
  return (
    <div ref={scroller} className={styles["scroller"]} role="table" aria-label="Spans" aria-rowcount={rows.length + 1} tabIndex={0} data-testid="span-table">
      <div role="rowgroup" className={styles["head"]}>
        <div role="row" className={styles["row"]}>
          {COLUMNS.map(({ id, title, number }) => (
            <div key={id} role="columnheader" aria-sort={sort.id !== id ? "none" : sort.down ? "descending" : "ascending"} className={number === true ? "number" : ""}>
              <button type="button" className={styles["sort"]} onClick={() => setSort({ id, down: sort.id === id && !sort.down })}>
                {title}
                {sort.id === id && (sort.down ? <ArrowDown size={12} aria-hidden="true" /> : <ArrowUp size={12} aria-hidden="true" />)}
              </button>
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" className={styles["body"]} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          const { node, context } = row;
          return (
            <div
              key={node.nodeId}
              role="row"
              aria-rowindex={index + 2}
              className={`${styles["row"]} ${styles["item"]} ${node.nodeId === selected ? styles["selected"] : ""}`}
              style={{ transform: `translateY(${start}px)` }}
              data-testid="table-row"
              onClick={() => onSelect(node.nodeId === selected ? null : node.nodeId)}
            >
              {COLUMNS.map(({ id, number, text }) => (
                <div key={id} role="cell" className={number === true ? "number" : "truncate"}>
                  {id === "step" ? (
                    <button type="button" className={`${styles["step"]} truncate`} title={label(node)}>
                      <StateSign look={context.look} silent />
                      {label(node)}
                    </button>
                  ) : (
                    text(node, context)
                  )}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
