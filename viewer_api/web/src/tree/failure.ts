import type { Verdict } from "../reducer/outcome";
import type { Tree, TreeNode } from "../reducer/tree";
import { appearance, explanation, label } from "./appearance";

/** What became of a flow; of one that failed also at which step, and what that said. */
export function withFailure(verdict: Verdict, tree: Tree): Verdict {
  if (verdict.outcome !== "error") return verdict;
  const path: TreeNode[] = [];
  for (let node = lastFailed(tree.roots); node !== undefined; node = lastFailed(node.children)) path.push(node);
  const origin = path.at(-1);
  if (origin === undefined) return verdict;
  const reason = path.map(explanation).findLast((said) => said !== null) ?? null;
  return { ...verdict, gate: path.length > 1 && !isReport(origin) ? label(origin) : null, reason };
}

/** The last one: what was tried again counts by how the last attempt went. */
function lastFailed(nodes: readonly TreeNode[]): TreeNode | undefined {
  const failed = nodes.filter((node) => appearance(node).look === "error");
  return failed.findLast((node) => !isReport(node)) ?? failed.at(-1);
}

/** A checkpoint that only reports what went wrong elsewhere. */
const isReport = ({ entry }: TreeNode): boolean => entry?.event_type === "error";
