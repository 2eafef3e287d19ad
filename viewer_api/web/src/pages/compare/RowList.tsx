import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useId, useMemo, useRef, type KeyboardEvent } from "react";
import type { ComparedRow } from "../../api/compare";
import { duration } from "../../format";
import { kindOf } from "../../tree/kind";
import { percent, signed, SIGNS, titleOf, took, wordOf } from "./signs";
import styles from "./RowList.module.css";

export interface PlacedRow {
  readonly row: ComparedRow;
  /** Its place among all rows. */
  readonly place: number;
}

interface Props {
  readonly rows: readonly PlacedRow[];
  /** What is usual stands in the first column. */
  readonly usual: boolean;
  readonly chosen: number | null;
  readonly onChoose: (place: number | null) => void;
}

const ROW_HEIGHT = 30;
const DEEPEST_INDENT = 20;
const STEPS: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };

/** The steps of both flows, aligned, with how much longer or shorter each took. Arrow keys walk, Enter shows the details. */
export function RowList({ rows, usual, chosen, onChoose }: Props) {
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 16,
    scrollPaddingStart: ROW_HEIGHT,
    getItemKey: (index) => rows[index]?.place ?? index,
  });
  const at = rows.findIndex(({ place }) => place === chosen);
  useEffect(() => {
    if (at >= 0) virtual.scrollToIndex(at, { align: "auto" });
  }, [at]);
  const scale = useMemo(() => Math.max(1e-6, ...rows.map(({ row }) => Math.abs(lengthOf(row)))), [rows]);
  const onKey = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const by = STEPS[event.key];
    if (event.key === "Escape" && chosen !== null) onChoose(null);
    else if (by !== undefined) {
      const next = rows[Math.min(Math.max(at < 0 ? 0 : at + by, 0), rows.length - 1)];
      if (next !== undefined) onChoose(next.place);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={scroller}
      className={styles["list"]}
      role="treegrid"
      aria-label={usual ? "Steps of the flow, and what is usual" : "Steps of both flows"}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={at < 0 ? undefined : `${id}-${chosen}`}
      tabIndex={0}
      onKeyDown={onKey}
      data-testid="compared"
    >
      <div role="row" className={`${styles["row"]} ${styles["head"]}`}>
        <span role="columnheader" className={styles["status"]}>
          <span className="visually-hidden">Status</span>
        </span>
        <span role="columnheader">Step</span>
        <span role="columnheader" className="number" data-side="a">
          {usual ? "Usual" : "A"}
        </span>
        <span role="columnheader" className="number" data-side="b">
          {usual ? "Flow" : "B"}
        </span>
        <span role="columnheader" className={styles["axis"]} data-column="bar">
          <span>◀ {usual ? "Faster" : "B faster"}</span>
          <span>{usual ? "Slower" : "B slower"} ▶</span>
        </span>
        <span role="columnheader" className="number">
          Difference
        </span>
      </div>
      {rows.length === 0 && <p className={`${styles["none"]} quiet`}>No step is like that.</p>}
      <div role="presentation" className={styles["rows"]} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const each = rows[index];
          return each === undefined ? null : (
            <Row
              key={each.place}
              id={`${id}-${each.place}`}
              row={each.row}
              index={index}
              top={start}
              scale={scale}
              usual={usual}
              chosen={each.place === chosen}
              onChoose={() => onChoose(each.place === chosen ? null : each.place)}
            />
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  readonly id: string;
  readonly row: ComparedRow;
  readonly index: number;
  readonly top: number;
  readonly scale: number;
  readonly usual: boolean;
  readonly chosen: boolean;
  readonly onChoose: () => void;
}

function Row({ id, row, index, top, scale, usual, chosen, onChoose }: RowProps) {
  const text = wordOf(row.status, usual);
  const changes = (row.differences?.length ?? 0) + (row.more_differences ?? 0);
  return (
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      aria-level={row.depth + 1}
      aria-selected={chosen}
      className={styles["row"]}
      style={{ transform: `translateY(${top}px)` }}
      data-testid="compared-row"
      data-status={row.status}
      data-kind={row.kind}
      onClick={onChoose}
    >
      <span role="gridcell" className={styles["status"]} data-status={row.status} title={text}>
        <span aria-hidden="true">{SIGNS[row.status].sign}</span>
        <span className="visually-hidden">{text}</span>
      </span>
      <span role="gridcell" className={styles["step"]} style={{ paddingInlineStart: `${Math.min(row.depth, DEEPEST_INDENT)}em` }}>
        <span className={`${styles["title"]} truncate`} data-kind={row.kind === "waiting" ? "waiting" : kindOf(row.event_type ?? undefined)} title={titleOf(row)}>
          {titleOf(row)}
        </span>
        {row.kind === "run" && (
          <span className={styles["count"]}>
            × {row.a?.count ?? 0} → {row.b?.count ?? 0}
          </span>
        )}
        {changes > 0 && (
          <span className={styles["count"]} title="Values that differ">
            {changes} ≠
          </span>
        )}
      </span>
      <Took side={row.a} letter="a" />
      <Took side={row.b} letter="b" />
      <span role="gridcell" className={styles["axis"]} data-column="bar">
        <Delta row={row} scale={scale} />
      </span>
      <span role="gridcell" className="number" data-testid="row-delta">
        {row.delta_ms === null && row.status !== "unknown" ? text : signed(row.delta_ms)}
        <span className="quiet"> {row.delta_ms === null ? "" : percent(row.delta_percent)}</span>
      </span>
    </div>
  );
}

function Took({ side, letter }: { readonly side: ComparedRow["a"]; readonly letter: "a" | "b" }) {
  const ms = took(side);
  return (
    <span role="gridcell" className="number" data-side={letter}>
      {ms === null ? <span className="quiet">–</span> : duration(ms)}
    </span>
  );
}

/** How long the bar of a row is: what is in one flow only counts as a whole, and nothing where nothing is known. */
function lengthOf(row: ComparedRow): number {
  if (row.status === "unknown") return 0;
  return row.delta_ms ?? (row.b !== null ? (took(row.b) ?? 0) : -(took(row.a) ?? 0));
}

/** To the right where B took longer, to the left where it was faster; what is in one flow only is hatched. */
function Delta({ row, scale }: { readonly row: ComparedRow; readonly scale: number }) {
  const ms = lengthOf(row);
  const width = (Math.abs(ms) / scale) * 50;
  const position = ms < 0 ? { right: "50%", width: `${width}%` } : { left: "50%", width: `${width}%` };
  return (
    <span className={styles["lane"]} aria-hidden="true">
      {row.status !== "unknown" && (
        <span className={styles["bar"]} data-testid="row-bar" data-status={row.status} data-direction={ms < 0 ? "less" : "more"} style={position} />
      )}
    </span>
  );
}
