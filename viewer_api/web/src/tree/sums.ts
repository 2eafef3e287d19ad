import { isCheckpoint } from "../reducer/event";
import { walk, type Tree, type TreeNode } from "../reducer/tree";
import { appearance } from "./appearance";

/** What a span and everything below it add up to. */
export interface Sums {
  spans: number;
  errors: number;
  denials: number;
}

export function sumsOf(tree: Tree): ReadonlyMap<TreeNode, Sums> {
  const sums = new Map<TreeNode, Sums>();
  for (const node of [...walk(tree)].reverse()) {
    const { look } = appearance(node);
    const own: Sums = { spans: node.entry === undefined ? 0 : 1, errors: look === "error" ? 1 : 0, denials: look === "denied" ? 1 : 0 };
    for (const child of node.children) add(own, sums.get(child));
    sums.set(node, own);
  }
  return sums;
}

/** The sums of several spans that stand behind one line. */
export function total(nodes: readonly TreeNode[], sums: ReadonlyMap<TreeNode, Sums>): Sums {
  const all: Sums = { spans: 0, errors: 0, denials: 0 };
  for (const node of nodes) add(all, sums.get(node));
  return all;
}

function add(to: Sums, more: Sums | undefined): void {
  if (more === undefined) return;
  to.spans += more.spans;
  to.errors += more.errors;
  to.denials += more.denials;
}

/**
 * The steps that something went wrong in, in reading order: of a chain in which the failure of one made those around it
 * fail, only the innermost.
 */
export function failures(tree: Tree): string[] {
  const failed = new Set(["error", "denied", "lost", "stalled"]);
  const found: string[] = [];
  const below = new Set<TreeNode>();
  for (const node of [...walk(tree)].reverse()) {
    const wrong = failed.has(appearance(node).look);
    if (wrong && !below.has(node)) found.push(node.nodeId);
    if ((wrong || below.has(node)) && node.parent !== undefined) below.add(node.parent);
  }
  return found.reverse();
}

/** What went wrong at these steps: `3 failed or denied`. */
export function failureWords(tree: Tree, nodeIds: readonly string[]): string {
  const denied = nodeIds.filter((nodeId) => {
    const node = tree.nodes.get(nodeId);
    return node !== undefined && appearance(node).look === "denied";
  }).length;
  const failed = nodeIds.length - denied;
  return `${nodeIds.length} ${[failed > 0 && "failed", denied > 0 && "denied"].filter(Boolean).join(" or ")}`;
}

/** How many steps a flow has, each counted once however many spans tell of it: as the list of flows counts them. */
export function stepCount(tree: Tree): number {
  const entries = [...tree.nodes.values()].filter((node) => node.entry !== undefined);
  const reported = entries.some(({ entry }) => entry?.attributes?.["flow.reported"] !== undefined);
  let steps = 0;
  for (const { entry, sameCall } of entries) {
    if (entry === undefined || !isCheckpoint(entry)) continue;
    if (reported ? entry.attributes?.["flow.checkpoint.type"] !== undefined : !sameCall) steps++;
  }
  return steps;
}
