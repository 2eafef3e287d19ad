import { stepKey, type Tree } from "../reducer/tree";

/** What is known of a step while its flow runs: that it took longer than 95 of 100 of its kind. */
const LONGER_THAN = 95;

/** The ended steps that took longer than usual, with the percentile that they reached at least. */
export function unusualSteps(tree: Tree, usualP95Ns: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  if (usualP95Ns.size === 0) return found;
  for (const { nodeId, entry, startNs, endNs } of tree.nodes.values()) {
    if (entry === undefined || startNs === undefined || endNs === undefined) continue;
    const usual = usualP95Ns.get(stepKey(entry));
    if (usual !== undefined && Number(endNs - startNs) > usual) found.set(nodeId, LONGER_THAN);
  }
  return found;
}
