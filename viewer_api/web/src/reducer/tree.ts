import type { SpanEvent } from "./event";
import { leavesOut, rootOf, windowOf } from "./flowTimes";
import { outcomeOf } from "./httpAnswer";
import { markSameCalls } from "./sameCall";
import { compareText } from "./text";

export type NodeState = "running" | "slow" | "stalled" | "lost" | "ended";

/** What must be known beside the events to judge an open span. What is missing is not known; nothing is claimed. */
export interface Outlook {
  readonly nowNs?: bigint;
  readonly alive?: ReadonlySet<string>;
  /** The usual 95th percentile of a step's duration in nanoseconds, by `stepKey`. */
  readonly usualP95Ns?: ReadonlyMap<string, number>;
  readonly stalledAfterNs?: bigint;
}

/** One span in its place. A placeholder stands for a parent that has not come: it has children, but no entry. */
export interface TreeNode {
  readonly nodeId: string;
  readonly entry: SpanEvent | undefined;
  parent: TreeNode | undefined;
  readonly children: TreeNode[];
  depth: number;
  state: NodeState | null;
  inCycle: boolean;
  /** It tells of the same call as the nearest checkpoint above it. */
  sameCall: boolean;
  /** Its times lie outside of its flow: some clock was wrong. `startNs` and `endNs` say where it is drawn then. */
  outsideFlow: boolean;
  /** When it began, within its flow; the entry keeps what it said. */
  startNs: bigint | undefined;
  /** When it ended, within its flow; undefined while it is open. */
  endNs: bigint | undefined;
}

export interface Tree {
  readonly roots: readonly TreeNode[];
  readonly nodes: ReadonlyMap<string, TreeNode>;
}

const STALLED_AFTER_NS = 60_000_000_000n;
const STALLED_TIMES_P95 = 4;
const NOT_SHOWN = new Set(["late", "was", "v", "phase", "flow_id", "node_id", "parent_id"]);

/** What counts as the same step when durations are compared. */
export function stepKey(entry: SpanEvent): string {
  return `${entry.event_type ?? "span"}:${entry.name ?? ""}`;
}

export function compareEntries(one: SpanEvent, other: SpanEvent): number {
  const a = orderTime(one);
  const b = orderTime(other);
  return a < b ? -1 : a > b ? 1 : compareText(one.node_id, other.node_id);
}

/** The tree of merged entries, one per span, which must be in start order. Nothing here recurses. */
export function buildTree(entries: readonly SpanEvent[], outlook: Outlook = {}): Tree {
  const nodes = new Map<string, TreeNode>();
  for (const entry of entries) nodes.set(entry.node_id, newNode(entry.node_id, entry));
  const roots: TreeNode[] = [];
  for (const node of [...nodes.values()]) {
    const parentId = node.entry?.parent_id ?? null;
    if (parentId === null) {
      roots.push(node);
      continue;
    }
    let parent = nodes.get(parentId);
    if (parent === undefined) {
      parent = newNode(parentId, undefined);
      nodes.set(parentId, parent);
      roots.push(parent);
    }
    node.parent = parent;
    parent.children.push(node);
  }
  breakCycles(roots, nodes);
  roots.sort(compareRoots);
  const tree = { roots, nodes };
  setStates(tree, outlook);
  markSameCalls(walk(tree));
  placeOutside(tree);
  return tree;
}

/** Mark spans whose clock was wrong, and draw each from its parent's start on, as long as it took by its own clock. */
function placeOutside(tree: Tree): void {
  const window = windowOf(rootOf(tree.roots.flatMap((root) => root.entry ?? [])));
  if (window === undefined) return;
  for (const node of walk(tree)) {
    if (node.entry === undefined || !leavesOut(window, node.entry)) continue;
    node.outsideFlow = true;
    const { startNs: start, endNs: end } = node;
    const begin = latest(window.startNs, node.parent?.startNs);
    if (end !== undefined) {
      const straddles = start !== undefined && start < begin && begin <= end;
      const placed = straddles ? end : begin + latest(0n, end - (start ?? end));
      node.endNs = window.endNs === undefined || placed <= window.endNs ? placed : latest(begin, window.endNs);
    }
    node.startNs = begin;
  }
}

/** Every node, parents before children, siblings in start order. */
export function* walk(tree: Tree): Generator<TreeNode> {
  const stack = [...tree.roots].reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i] as TreeNode);
  }
}

/** The node as the API shows it, without its children. */
export function rowOf(node: TreeNode): Record<string, unknown> {
  const head: [string, unknown][] = [
    ["node_id", node.nodeId],
    ["parent_id", node.entry?.parent_id ?? null],
    ["depth", node.depth],
    ["state", node.state],
  ];
  if (node.entry === undefined) head.push(["placeholder", true]);
  if (node.inCycle) head.push(["in_cycle", true]);
  if (node.sameCall) head.push(["same_call", true]);
  if (node.outsideFlow) head.push(["outside_flow", true]);
  const rest: [string, unknown][] = Object.entries(node.entry ?? {}).filter(([key]) => !NOT_SHOWN.has(key));
  if (node.entry !== undefined) {
    const { outcome, reason } = outcomeOf(node.entry);
    if (outcome !== null) rest.push(["outcome", outcome]);
    if (reason !== null) rest.push(["outcome_reason", reason]);
  }
  return Object.fromEntries([...head, ...rest]);
}

function newNode(nodeId: string, entry: SpanEvent | undefined): TreeNode {
  const ended = entry?.phase === "end";
  return {
    nodeId,
    entry,
    parent: undefined,
    children: [],
    depth: 0,
    state: null,
    inCycle: false,
    sameCall: false,
    outsideFlow: false,
    startNs: toNs(entry?.start_ns),
    endNs: ended ? toNs(entry.end_ns) : undefined,
  };
}

function breakCycles(roots: TreeNode[], nodes: ReadonlyMap<string, TreeNode>): void {
  const reached = new Set<TreeNode>();
  setDepths(roots, reached);
  for (const node of nodes.values()) {
    if (reached.has(node)) continue;
    const top = firstOfCycle(node);
    top.parent?.children.splice(top.parent.children.indexOf(top), 1);
    top.parent = undefined;
    top.inCycle = true;
    roots.push(top);
    setDepths([top], reached);
  }
}

/** The earliest node of the cycle that `node` is in or hangs from. */
function firstOfCycle(node: TreeNode): TreeNode {
  const seen = new Set<TreeNode>();
  let step: TreeNode = node;
  while (!seen.has(step) && step.parent !== undefined) {
    seen.add(step);
    step = step.parent;
  }
  let first = step;
  for (let other = step.parent; other !== undefined && other !== step; other = other.parent) {
    if (compareNodes(other, first) < 0) first = other;
  }
  return first;
}

function setDepths(roots: readonly TreeNode[], reached: Set<TreeNode>): void {
  const stack = [...roots];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    node.depth = node.parent === undefined ? 0 : node.parent.depth + 1;
    reached.add(node);
    for (const child of node.children) stack.push(child);
  }
}

function setStates(tree: Tree, outlook: Outlook): void {
  const heard = new Map<TreeNode, bigint>();
  for (const node of [...walk(tree)].reverse()) {
    let news = 0n;
    for (const child of node.children) news = latest(news, heard.get(child));
    for (const time of [node.entry?.start_ns, node.entry?.updated_ns, node.entry?.end_ns]) news = latest(news, toNs(time));
    if (node.entry !== undefined && outlook.nowNs !== undefined && waitsForAPerson(node.entry, outlook)) news = outlook.nowNs;
    heard.set(node, news);
    if (node.entry !== undefined) node.state = stateOf(node.entry, node.startNs, news, outlook);
  }
}

/** Then nothing above it is stalled either: no news are to be expected before the person answers. */
function waitsForAPerson(entry: SpanEvent, outlook: Outlook): boolean {
  if (entry.event_type !== "elicitation" || entry.phase === "end") return false;
  return outlook.alive === undefined || entry.process === undefined || outlook.alive.has(entry.process);
}

function stateOf(entry: SpanEvent, started: bigint | undefined, heard: bigint, outlook: Outlook): NodeState {
  if (entry.phase === "end") return "ended";
  if (outlook.alive !== undefined && entry.process !== undefined && !outlook.alive.has(entry.process)) return "lost";
  if (outlook.nowNs === undefined || started === undefined) return "running";
  if (entry.event_type === "elicitation") return "running";
  const usual = outlook.usualP95Ns?.get(stepKey(entry));
  const usualNs = usual === undefined ? undefined : BigInt(Math.round(usual));
  const patience = latest(outlook.stalledAfterNs ?? STALLED_AFTER_NS, (usualNs ?? 0n) * BigInt(STALLED_TIMES_P95));
  if (outlook.nowNs - heard > patience) return "stalled";
  return usualNs !== undefined && outlook.nowNs - started > usualNs ? "slow" : "running";
}

function latest(one: bigint, other: bigint | undefined): bigint {
  return other !== undefined && other > one ? other : one;
}

function toNs(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : BigInt(text);
}

function orderTime(entry: SpanEvent): bigint {
  return toNs(entry.start_ns) ?? toNs(entry.end_ns) ?? 0n;
}

function compareNodes(one: TreeNode, other: TreeNode): number {
  return one.entry === undefined || other.entry === undefined ? 0 : compareEntries(one.entry, other.entry);
}

/** A placeholder stands where its first child would. */
function compareRoots(one: TreeNode, other: TreeNode): number {
  const a = rootTime(one);
  const b = rootTime(other);
  return a < b ? -1 : a > b ? 1 : compareText(one.nodeId, other.nodeId);
}

function rootTime(root: TreeNode): bigint {
  const entry = root.entry ?? root.children[0]?.entry;
  return entry === undefined ? 0n : orderTime(entry);
}
