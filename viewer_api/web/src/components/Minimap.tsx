import { memo, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { duration } from "../format";
import type { TreeNode } from "../reducer/tree";
import { appearance } from "../tree/appearance";
import { kindOf } from "../tree/kind";
import type { Row } from "../tree/rows";
import { bar, place, zoomed, type Timeline } from "../tree/timeline";
import styles from "./Minimap.module.css";

interface Props {
  readonly rows: readonly Row[];
  readonly whole: Timeline;
  readonly shown: Timeline;
  readonly nowNs: bigint;
  readonly zeroNs: bigint;
  readonly onRange: (range: Timeline | null) => void;
}

/** A drag shorter than this is a click. */
const LEAST_DRAG_PERCENT = 0.4;
const STEP_PERCENT = 2;

/** The whole flow in a strip: drag over it to see that time only, double-click to see all of it again. */
export function Minimap({ rows, whole, shown, nowNs, zeroNs, onRange }: Props) {
  const strip = useRef<HTMLDivElement>(null);
  // What a drag comes to is read from here: the state may be one event behind on a busy page.
  const from = useRef<number | null>(null);
  const [drag, setDrag] = useState<{ readonly from: number; readonly to: number } | null>(null);
  const { left, width } = place(shown.startNs, shown.endNs, whole) ?? { left: 0, width: 100 };
  const part = width < 99.9;
  const percent = (event: PointerEvent) => {
    const box = strip.current?.getBoundingClientRect();
    return box === undefined || box.width === 0 ? 0 : Math.min(Math.max(((event.clientX - box.left) / box.width) * 100, 0), 100);
  };
  const stop = () => {
    from.current = null;
    setDrag(null);
  };
  const finish = (event: PointerEvent) => {
    const to = percent(event);
    if (from.current !== null && Math.abs(to - from.current) > LEAST_DRAG_PERCENT) onRange(zoomed(whole, whole, from.current, to));
    stop();
  };
  const edge = (which: "start" | "end") => {
    const at = which === "start" ? left : left + width;
    const move = (event: KeyboardEvent) => {
      const by = event.key === "ArrowLeft" ? -STEP_PERCENT : event.key === "ArrowRight" ? STEP_PERCENT : 0;
      if (by === 0) return;
      event.preventDefault();
      event.stopPropagation();
      const [from, to] = which === "start" ? [Math.min(left + by, left + width - 0.5), left + width] : [left, Math.max(left + width + by, left + 0.5)];
      onRange(from <= 0 && to >= 100 ? null : zoomed(whole, whole, Math.max(from, 0), Math.min(to, 100)));
    };
    const ms = Number((which === "start" ? shown.startNs : shown.endNs) - zeroNs) / 1e6;
    return (
      <div
        role="slider"
        tabIndex={0}
        aria-label={which === "start" ? "Start of the selected range" : "End of the selected range"}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(at)}
        aria-valuetext={duration(ms)}
        className={styles["edge"]}
        style={{ left: `${Math.min(Math.max(at, 0.4), 99.6)}%` }}
        onKeyDown={move}
      />
    );
  };
  return (
    <div
      ref={strip}
      role="group"
      aria-label="Overview of the whole flow"
      className={styles["minimap"]}
      data-testid="minimap"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        from.current = percent(event);
      }}
      onPointerMove={(event) => from.current !== null && setDrag({ from: from.current, to: percent(event) })}
      onPointerUp={finish}
      onPointerCancel={stop}
      onDoubleClick={() => onRange(null)}
    >
      <Picture rows={rows} whole={whole} nowNs={nowNs} />
      {part && (
        <>
          <span className={styles["out"]} style={{ left: 0, width: `${left}%` }} />
          <span className={styles["out"]} style={{ left: `${left + width}%`, right: 0 }} />
        </>
      )}
      {drag !== null && (
        <span className={styles["brush"]} style={{ left: `${Math.min(drag.from, drag.to)}%`, width: `${Math.abs(drag.to - drag.from)}%` }} />
      )}
      {edge("start")}
      {edge("end")}
    </div>
  );
}

const WIDTH = 1000;
const HEIGHT = 34;

/** One path for each colour, however many spans there are. */
const Picture = memo(function Picture({ rows, whole, nowNs }: { readonly rows: readonly Row[]; readonly whole: Timeline; readonly nowNs: bigint }) {
  const paths = useMemo(() => {
    const found = new Map<string, string[]>();
    const rowHeight = HEIGHT / Math.max(rows.length, 1);
    const drawn = new Set<string>();
    rows.forEach((row, index) => {
      const nodes: readonly TreeNode[] = row.run ?? [row.node];
      const box = bar(nodes, whole, nowNs);
      if (box === null) return;
      const kind = nodes.some((node) => appearance(node).look === "error") ? "error" : kindOf(row.node.entry?.event_type);
      const piece = `M${Math.round(box.left * 10)} ${((index + 0.5) * rowHeight).toFixed(1)}h${Math.max(Math.round(box.width * 10), 2)}`;
      // Of ten thousand spans many lie on the same point of so small a picture.
      if (drawn.has(kind + piece)) return;
      drawn.add(kind + piece);
      const pieces = found.get(kind);
      if (pieces === undefined) found.set(kind, [piece]);
      else pieces.push(piece);
    });
    return [...found].map(([kind, pieces]) => [kind, pieces.join("")] as const);
  }, [rows, whole, nowNs]);
  const thickness = Math.min(Math.max((HEIGHT / Math.max(rows.length, 1)) * 0.7, 1), 4);
  return (
    <svg className={styles["picture"]} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {paths.map(([kind, path]) => (
        <path key={kind} d={path} className={styles["line"]} data-kind={kind} strokeWidth={thickness} />
      ))}
    </svg>
  );
});
