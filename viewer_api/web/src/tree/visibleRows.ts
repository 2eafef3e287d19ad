import type { Tree, TreeNode } from "../reducer/tree";

/** The rows that a tree shows while some nodes are collapsed, in reading order. */
export function visibleRows(tree: Tree, collapsed: ReadonlySet<string>): TreeNode[] {
  const rows: TreeNode[] = [];
  const stack = [...tree.roots].reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    rows.push(node);
    if (collapsed.has(node.nodeId)) continue;
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i] as TreeNode);
  }
  return rows;
}

export interface Focus {
  readonly nodeId: string;
  readonly collapsed: ReadonlySet<string>;
}

/** What a key does in a treegrid (ARIA Authoring Practices); undefined when the key means nothing there. */
export function afterKey(key: string, rows: readonly TreeNode[], focus: Focus): Focus | undefined {
  const index = Math.max(rows.findIndex((row) => row.nodeId === focus.nodeId), 0);
  const node = rows[index];
  if (node === undefined) return undefined;
  const at = (target: TreeNode | undefined): Focus => ({ ...focus, nodeId: (target ?? node).nodeId });
  switch (key) {
    case "ArrowDown":
      return at(rows[index + 1]);
    case "ArrowUp":
      return at(rows[index - 1]);
    case "PageDown":
      return at(rows[Math.min(index + 10, rows.length - 1)]);
    case "PageUp":
      return at(rows[Math.max(index - 10, 0)]);
    case "Home":
      return at(rows[0]);
    case "End":
      return at(rows.at(-1));
    case "ArrowRight":
      if (node.children.length === 0) return at(node);
      return focus.collapsed.has(node.nodeId) ? toggled(focus, node) : at(node.children[0]);
    case "ArrowLeft":
      if (node.children.length > 0 && !focus.collapsed.has(node.nodeId)) return toggled(focus, node);
      return at(node.parent);
    default:
      return undefined;
  }
}

export function toggled(focus: Focus, node: TreeNode): Focus {
  const collapsed = new Set(focus.collapsed);
  if (!collapsed.delete(node.nodeId)) collapsed.add(node.nodeId);
  return { nodeId: node.nodeId, collapsed };
}
