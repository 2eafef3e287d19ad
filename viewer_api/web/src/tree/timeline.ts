import type { Tree, TreeNode } from "../reducer/tree";

/** The time that a tree spans; open nodes reach up to `nowNs`. */
export interface Timeline {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

export function timelineOf(tree: Tree, nowNs: bigint): Timeline {
  let start: bigint | undefined;
  let end: bigint | undefined;
  for (const node of tree.nodes.values()) {
    const from = node.startNs ?? node.endNs;
    if (from === undefined) continue;
    const to = endOf(node, nowNs) ?? from;
    if (start === undefined || from < start) start = from;
    if (end === undefined || to > end) end = to;
  }
  return { startNs: start ?? nowNs, endNs: end ?? nowNs };
}

/** When a node ended, now for an open one; undefined when nobody knows (lost, placeholder). */
export function endOf(node: TreeNode, nowNs: bigint): bigint | undefined {
  if (node.endNs !== undefined || node.state === "lost" || node.entry === undefined) return node.endNs;
  return node.state === "ended" ? undefined : nowNs;
}

export function elapsedNs(node: TreeNode, nowNs: bigint): bigint | undefined {
  const end = endOf(node, nowNs);
  if (node.startNs === undefined || end === undefined) return undefined;
  return end > node.startNs ? end - node.startNs : 0n;
}

/** Where a node's bar begins and how long it is, in hundredths of the timeline. */
export function bar(node: TreeNode, timeline: Timeline, nowNs: bigint): { left: number; width: number } {
  const total = Number(timeline.endNs - timeline.startNs);
  const start = node.startNs ?? node.endNs;
  if (start === undefined || total <= 0) return { left: 0, width: start === undefined ? 0 : 100 };
  const end = endOf(node, nowNs) ?? start;
  const left = (Number(start - timeline.startNs) / total) * 100;
  const width = (Number(end > start ? end - start : 0n) / total) * 100;
  return { left: Math.min(left, 99.5), width: Math.max(Math.min(width, 100 - left), 0.5) };
}
