import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, type CSSProperties } from "react";
import type { FlowSummary } from "../../api/flows";
import { usePreferences } from "../../app/preferences";
import { useShortcuts } from "../../app/shortcuts";
import { COLUMNS } from "./columns";
import { FlowRow, type Tick } from "./FlowRow";
import styles from "./FlowTable.module.css";
import { usePreviews } from "./usePreviews";

interface Props {
  readonly flows: readonly FlowSummary[];
  readonly columns: ReadonlySet<string>;
  readonly more: boolean;
  readonly loading: boolean;
  readonly onMore: () => void;
  readonly tick: Tick;
}

const ROW_HEIGHT = { comfortable: 46, compact: 34 } as const;
const BEFORE_THE_END = 15;

/** Flows, one row each; only the rows in view are in the page, and older ones are read as one scrolls. */
export function FlowTable({ flows, columns, more, loading, onMore, tick }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const { density } = usePreferences();
  const height = ROW_HEIGHT[density];
  const virtual = useVirtualizer({
    count: flows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 12,
    getItemKey: (index) => flows[index]?.flow_id ?? index,
  });
  useEffect(() => virtual.measure(), [virtual, height]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (more && !loading && last >= flows.length - BEFORE_THE_END) onMore();
  }, [more, loading, last, flows.length]);
  const { startIndex = 0, endIndex = -1 } = virtual.range ?? {};
  const previewOf = usePreviews(flows.slice(startIndex, endIndex + 1));
  const step = (by: number) => {
    const links = [...(scroller.current?.querySelectorAll<HTMLElement>("[data-testid=flow-row] a[data-testid=flow-link]") ?? [])];
    const at = links.findIndex((link) => link === document.activeElement);
    links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };
  useShortcuts([
    { keys: "j", text: "Next row", group: "Lists", run: () => step(1) },
    { keys: "k", text: "Previous row", group: "Lists", run: () => step(-1) },
  ]);
  const shown = COLUMNS.filter(({ id }) => columns.has(id));
  const tracks = ["1.25rem", ...shown.map(({ track }) => track)].join(" ");
  const longest = Math.max(1, ...flows.map((flow) => flow.duration_ms ?? 0));
  return (
    // The tracks are a variable: on a phone the style sheet has others.
    <div ref={scroller} className={styles["scroller"]} data-density={density} style={{ "--columns": tracks } as CSSProperties}>
      <div role="table" aria-label="Flows" aria-rowcount={more ? -1 : flows.length + 1} data-testid="flow-list">
        <div role="row" className={`${styles["row"]} ${styles["head"]}`}>
          <span role="columnheader" data-column="tick">
            <span className="visually-hidden">Compare</span>
          </span>
          {shown.map(({ id, title, number }) => (
            <span key={id} role="columnheader" data-column={id} className={number === true ? "number" : undefined}>
              {title}
            </span>
          ))}
        </div>
        <div role="rowgroup" className={styles["rows"]} style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, start }) => {
            const flow = flows[index];
            return flow === undefined ? null : (
              <FlowRow
                key={flow.flow_id}
                flow={flow}
                preview={previewOf(flow)}
                columns={shown}
                top={start}
                index={index}
                longest={longest}
                tick={tick}
              />
            );
          })}
        </div>
      </div>
      {loading && (
        <p className="quiet" role="status">
          Older flows are loading…
        </p>
      )}
    </div>
  );
}
