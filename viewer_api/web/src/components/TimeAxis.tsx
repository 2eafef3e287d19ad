import { useEffect, useRef, useState, type KeyboardEvent, type PointerEvent, type RefObject } from "react";
import { roundDuration } from "../format";
import { ticksOf, type Timeline } from "../tree/timeline";
import treeStyles from "./SpanTree.module.css";
import styles from "./TimeAxis.module.css";

interface Props {
  readonly timeline: Timeline;
  /** The moment that the axis counts from. */
  readonly zeroNs: bigint;
  readonly lane: number;
  readonly onLane: (share: number) => void;
}

/** Labels of an axis need so much room each. */
const TICK_PX = 78;
const NARROWEST_LANE = 0.15;
const WIDEST_LANE = 0.7;

/** The heads of the columns, the time axis, and the divider that makes it wider. */
export function TimeAxis({ timeline, zeroNs, lane, onLane }: Props) {
  const ticks = useRef<HTMLDivElement>(null);
  const axis = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = ticks.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const most = Math.floor(width / TICK_PX);
  const ticksShown = ticksOf(timeline, zeroNs, most);
  // The label of a tick at the end stands before it, and has no room when the one before is near.
  const lastFrom = 100 - (TICK_PX / Math.max(width, 1)) * 70;
  return (
    <div ref={axis} role="row" className={styles["axis"]} data-testid="time-axis">
      <span role="columnheader" className={styles["step"]}>
        Step
      </span>
      <span role="columnheader" className={`${styles["time"]} number`}>
        Took
      </span>
      <div ref={ticks} role="columnheader" aria-label="When" className={`${treeStyles["lane"]} ${styles["ticks"]}`}>
        <Divider lane={lane} onLane={onLane} axis={axis} />
        {ticksShown.map(({ at, ms }, index) => (
          <span key={ms} className={styles["tick"]} data-last={at > lastFrom} style={{ left: `${at}%` }}>
            {at > lastFrom && ((at - (ticksShown[index - 1]?.at ?? -100)) * width) / 100 < 2 * TICK_PX ? "" : ms === 0 ? "0" : roundDuration(ms)}
          </span>
        ))}
      </div>
    </div>
  );
}

const STEP = 0.03;

interface DividerProps {
  readonly lane: number;
  readonly onLane: (share: number) => void;
  /** What the share is of. */
  readonly axis: RefObject<HTMLDivElement | null>;
}

function Divider({ lane, onLane, axis }: DividerProps) {
  const set = (share: number) => onLane(Math.min(Math.max(share, NARROWEST_LANE), WIDEST_LANE));
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    set(lane + (event.key === "ArrowLeft" ? STEP : -STEP));
    event.preventDefault();
    event.stopPropagation();
  };
  const onMove = (event: PointerEvent<HTMLDivElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = axis.current?.getBoundingClientRect();
    if (box !== undefined && box.width > 0) set((box.right - event.clientX) / box.width);
  };
  return (
    <div
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the waterfall"
      aria-valuemin={NARROWEST_LANE * 100}
      aria-valuemax={WIDEST_LANE * 100}
      aria-valuenow={Math.round(lane * 100)}
      tabIndex={0}
      className={styles["divider"]}
      onKeyDown={onKey}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={onMove}
    />
  );
}
