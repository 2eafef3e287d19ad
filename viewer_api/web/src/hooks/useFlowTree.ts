import { useEffect, useMemo, useReducer } from "react";
import type { FlowModel } from "../live/liveFlows";
import { mainRoot, verdictOf, type Verdict } from "../reducer/outcome";
import type { Tree } from "../reducer/tree";
import { appearance, outcomeAppearance, type Appearance } from "../tree/appearance";
import { withFailure } from "../tree/failure";
import { timelineOf, type Timeline } from "../tree/timeline";
import { useLiveStore } from "./useLive";

export interface FlowTree {
  readonly tree: Tree;
  readonly timeline: Timeline;
  readonly nowNs: bigint;
  readonly verdict: Verdict;
  /** How the flow looks, and with it its root: never better than what became of it. */
  readonly look: Appearance;
  readonly rootLook: { readonly nodeId: string; readonly look: Appearance } | undefined;
}

const TICK_MS = 250;
/** Larger trees are drawn less often while they run. */
const LARGE = 1000;
const LARGE_TICK_MS = 1000;

/** Draws anew every so often, unless there were news meanwhile; never while `everyMs` is null. */
function useTicks(everyMs: number | null, version: number): void {
  const [, tick] = useReducer((before: number) => before + 1, 0);
  useEffect(() => {
    if (everyMs === null) return undefined;
    const timer = setInterval(tick, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, version]);
}

/**
 * The tree of a flow as it is now. Its clock runs while news of it can come (`followed`): of a flow that is not followed
 * any more, only the last known moment is told. `atNs` is the moment that a panel was stopped at.
 */
export function useFlowTree(model: FlowModel, version: number, followed: boolean, atNs: bigint | null = null): FlowTree | undefined {
  const store = useLiveStore();
  const running = model.open && followed && atNs === null;
  const tickMs = model.size > LARGE ? LARGE_TICK_MS : TICK_MS;
  useTicks(running ? tickMs : null, version);
  const now = Math.floor(store.nowMs() / tickMs) * tickMs;
  // The newest event may be a moment ahead of the last tick, and of this computer's idea of the viewer's clock.
  const newest = useMemo(() => model.newestNs(), [model, version]);
  const ticked = BigInt(now) * 1_000_000n;
  const nowNs = atNs !== null && model.open ? atNs : running && ticked > newest ? ticked : newest;
  const tree = useMemo(() => model.tree(nowNs), [model, version, nowNs, model.open]);
  return useMemo(() => {
    const root = tree.roots[0];
    if (root === undefined) return undefined;
    const verdict = withFailure(verdictOf(tree), tree);
    const look = verdict.outcome === null ? appearance(root) : outcomeAppearance(verdict.outcome, false);
    const main = mainRoot(tree);
    const rootLook = verdict.outcome === null || main === undefined ? undefined : { nodeId: main.node_id, look };
    return { tree, timeline: timelineOf(tree, nowNs), nowNs, verdict, look, rootLook };
  }, [tree, nowNs]);
}
