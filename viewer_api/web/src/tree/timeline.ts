import { walk, type Tree, type TreeNode } from "../reducer/tree";

/** The time that a tree spans, or the part of it that is shown; open nodes reach up to `nowNs`. */
export interface Timeline {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

export function timelineOf(tree: Tree, nowNs: bigint): Timeline {
  return timelineOfNodes(tree.nodes.values(), nowNs);
}

/** The time of some spans and everything below them. */
export function timelineBelow(tree: Tree, root: TreeNode, nowNs: bigint): Timeline {
  return timelineOfNodes(walk({ roots: [root], nodes: tree.nodes }), nowNs);
}

function timelineOfNodes(nodes: Iterable<TreeNode>, nowNs: bigint): Timeline {
  let start: bigint | undefined;
  let end: bigint | undefined;
  for (const node of nodes) {
    const from = node.startNs ?? node.endNs;
    if (from === undefined) continue;
    const to = endOf(node, nowNs) ?? from;
    if (start === undefined || from < start) start = from;
    if (end === undefined || to > end) end = to;
  }
  return { startNs: start ?? nowNs, endNs: end ?? nowNs };
}

/** When a node ended, now for an open one; undefined if unknown (lost, placeholder). */
function endOf(node: TreeNode, nowNs: bigint): bigint | undefined {
  if (node.endNs !== undefined || node.state === "lost" || node.entry === undefined) return node.endNs;
  return node.state === "ended" ? undefined : nowNs;
}

/** Parts of a power of ten, a quarter apart. */
const STEPS = [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8, 10];
const LEAST_ROOM_MS = 10;

/** The same with room to grow: its end moves in steps, and what has ended keeps its place in between. */
export function withRoom({ startNs, endNs }: Timeline): Timeline {
  const ms = Math.max(Number(endNs - startNs) / 1e6, LEAST_ROOM_MS);
  const power = 10 ** Math.floor(Math.log10(ms));
  const step = STEPS.find((each) => each * power >= ms) ?? 10;
  return { startNs, endNs: startNs + BigInt(Math.round(step * power * 1e6)) };
}

export function elapsedNs(node: TreeNode, nowNs: bigint): bigint | undefined {
  const end = endOf(node, nowNs);
  if (node.startNs === undefined || end === undefined) return undefined;
  return end > node.startNs ? end - node.startNs : 0n;
}

/** A part of a line, in hundredths of it. */
export interface Bar {
  readonly left: number;
  readonly width: number;
}

/** Minimum width, so that it stays visible. */
const SHORTEST = 0.5;

/** Where some nodes' bar begins and how long it is, in hundredths of the timeline; null when it lies outside. */
export function bar(nodes: readonly TreeNode[], timeline: Timeline, nowNs: bigint): Bar | null {
  const { startNs: from, endNs: to } = timelineOfNodes(nodes, nowNs);
  if (nodes.every((node) => node.startNs === undefined && node.endNs === undefined)) return null;
  return place(from, to, timeline);
}

/** A stretch of time in hundredths of the timeline; null when it lies outside. */
export function place(from: bigint, to: bigint, timeline: Timeline): Bar | null {
  const total = Number(timeline.endNs - timeline.startNs);
  if (total <= 0) return { left: 0, width: 100 };
  const left = (Number(from - timeline.startNs) / total) * 100;
  const right = (Number((to > from ? to : from) - timeline.startNs) / total) * 100;
  if (right < 0 || left > 100) return null;
  const shownLeft = Math.min(Math.max(left, 0), 100 - SHORTEST);
  return { left: shownLeft, width: Math.max(Math.min(right, 100) - shownLeft, SHORTEST) };
}

export interface Tick {
  /** In hundredths of the timeline. */
  readonly at: number;
  /** Since `zeroNs`, in milliseconds. */
  readonly ms: number;
}

/** Round moments of the timeline, at most `most` of them, told from `zeroNs` on. */
export function ticksOf(timeline: Timeline, zeroNs: bigint, most: number): Tick[] {
  const total = Number(timeline.endNs - timeline.startNs) / 1e6;
  if (total <= 0 || most < 1) return [];
  const first = Number(timeline.startNs - zeroNs) / 1e6;
  const step = roundStep(total / most);
  const ticks: Tick[] = [];
  for (let number = Math.ceil(first / step - 1e-9) + 0; number * step <= first + total + step * 1e-9; number++) {
    ticks.push({ at: ((number * step - first) / total) * 100, ms: number * step });
  }
  return ticks;
}

/** The next larger of 1, 2 and 5 times a power of ten; beyond a second also of seconds, minutes and hours. */
function roundStep(ms: number): number {
  const long = [15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000];
  if (ms > 10_000) return long.find((step) => step >= ms) ?? Math.ceil(ms / 3_600_000) * 3_600_000;
  const power = 10 ** Math.floor(Math.log10(ms));
  const factor = [1, 2, 5, 10].find((each) => each * power >= ms * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** The narrowest range that can be zoomed into, in nanoseconds. */
const NARROWEST = 1000n;

/** `part` of the timeline, by hundredths of `range`, kept within `whole`. */
export function zoomed(range: Timeline, whole: Timeline, fromPercent: number, toPercent: number): Timeline {
  const total = Number(range.endNs - range.startNs);
  const at = (percent: number) => range.startNs + BigInt(Math.round((total * percent) / 100));
  let start = at(Math.min(fromPercent, toPercent));
  let end = at(Math.max(fromPercent, toPercent));
  if (end - start < NARROWEST) end = start + NARROWEST;
  if (start < whole.startNs) start = whole.startNs;
  if (end > whole.endNs) end = whole.endNs;
  return end > start ? { startNs: start, endNs: end } : whole;
}
