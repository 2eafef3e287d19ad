import { useEffect, useMemo, useRef, type CSSProperties, type RefObject } from "react";
import { Minimap } from "../../components/Minimap";
import { SpanTree } from "../../components/SpanTree";
import { TimeAxis } from "../../components/TimeAxis";
import type { FlowTree } from "../../hooks/useFlowTree";
import { useLaneWidth } from "../../hooks/useLaneWidth";
import type { TreeNode } from "../../reducer/tree";
import { rowsOf, type Focus } from "../../tree/rows";
import { zoomed, type Timeline } from "../../tree/timeline";
import type { FlowView } from "./useFlowView";
import styles from "./FlowWorkspace.module.css";

interface Props {
  readonly shown: FlowTree;
  /** The time of what is shown, however much of it is zoomed to. */
  readonly whole: Timeline;
  readonly root: TreeNode | undefined;
  readonly name: string;
  readonly view: FlowView;
  readonly focus: Focus;
  readonly onFocus: (focus: Focus) => void;
  readonly found: readonly string[];
  readonly critical: ReadonlySet<string> | undefined;
  readonly percentiles: ReadonlyMap<string, number>;
}

const WHEEL_STEP = 0.2;

/** The tree and its waterfall, on one time axis with an overview above. */
export function TreeView({ shown, whole, root, name, view, focus, onFocus, found, critical, percentiles }: Props) {
  const { tree, timeline, nowNs, rootLook } = shown;
  const zeroNs = timeline.startNs;
  const roots = useMemo(() => (root === undefined ? tree.roots : [root]), [root, tree]);
  const rows = useMemo(() => rowsOf(roots, focus), [roots, focus.collapsed, focus.opened]);
  const marked = useMemo(() => new Set(found), [found]);
  const [lane, setLane] = useLaneWidth();
  const range = rangeIn(view.range, whole, zeroNs);
  const setRange = (next: Timeline | null) => view.setRange(next, zeroNs);
  const box = useRef<HTMLDivElement>(null);
  useWheelZoom(box, range, whole, setRange);
  return (
    <div className={styles["treeView"]}>
      <Minimap rows={rows} whole={whole} shown={range} nowNs={nowNs} zeroNs={zeroNs} onRange={setRange} />
      <div ref={box} className={styles["tree"]} style={{ "--lane": lane } as CSSProperties}>
        <SpanTree
          tree={tree}
          roots={roots}
          timeline={range}
          nowNs={nowNs}
          label={name}
          focus={focus}
          onFocus={onFocus}
          selected={view.selected}
          onSelect={view.select}
          rootLook={rootLook}
          found={marked}
          pinned={view.pinned}
          percentiles={percentiles}
          header={<TimeAxis timeline={range} zeroNs={zeroNs} lane={lane} onLane={setLane} />}
          {...(critical === undefined ? {} : { critical })}
        />
      </div>
    </div>
  );
}

function rangeIn(range: FlowView["range"], whole: Timeline, zeroNs: bigint): Timeline {
  if (range === null) return whole;
  const startNs = zeroNs + BigInt(Math.round(range[0] * 1e6));
  const endNs = zeroNs + BigInt(Math.round(range[1] * 1e6));
  return startNs < endNs && startNs < whole.endNs && endNs > whole.startNs ? { startNs, endNs } : whole;
}

/** Ctrl and the wheel, or a pinch, zooms the time under the pointer. */
function useWheelZoom(box: RefObject<HTMLDivElement | null>, range: Timeline, whole: Timeline, onRange: (range: Timeline | null) => void): void {
  const latest = useRef({ range, whole, onRange });
  latest.current = { range, whole, onRange };
  useEffect(() => {
    const element = box.current;
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      // Else the browser zooms the page.
      event.preventDefault();
      const lane = element?.querySelector("[data-lane]")?.getBoundingClientRect();
      if (lane === undefined || lane.width === 0) return;
      const at = Math.min(Math.max((event.clientX - lane.left) / lane.width, 0), 1) * 100;
      const factor = event.deltaY < 0 ? WHEEL_STEP : -WHEEL_STEP / (1 - WHEEL_STEP);
      const now = latest.current;
      const next = zoomed(now.range, now.whole, at * factor, 100 - (100 - at) * factor);
      now.onRange(next.startNs === now.whole.startNs && next.endNs === now.whole.endNs ? null : next);
    };
    element?.addEventListener("wheel", onWheel, { passive: false });
    return () => element?.removeEventListener("wheel", onWheel);
  }, [box]);
}
