import { stepKey, type Tree, type TreeNode } from "../reducer/tree";
import { label } from "./appearance";

/** One line of a tree: a span, or a run of equal siblings that stand behind one line. */
export interface Row {
  /** The span's id, or the run's own key. */
  readonly key: string;
  /** The span, or the first one of the run. */
  readonly node: TreeNode;
  readonly run: readonly TreeNode[] | null;
  readonly depth: number;
  /** Index of the row above it in the tree; -1 for a root. */
  readonly parent: number;
  readonly expandable: boolean;
  readonly folded: boolean;
}

/** Where the keyboard is in a tree, and what is folded there. */
export interface Focus {
  /** Key of a row; the first row when there is none of this key. */
  readonly at: string;
  readonly collapsed: ReadonlySet<string>;
  /** Runs stand folded until they are opened. */
  readonly opened: ReadonlySet<string>;
}

export const UNFOCUSED: Focus = { at: "", collapsed: new Set(), opened: new Set() };

/** So many equal siblings after each other stand behind one line. */
const RUN_LENGTH = 5;
const PAGE = 10;

const runKey = (first: TreeNode): string => `run ${first.nodeId}`;

/** The rows that a tree shows, in reading order; `roots` are where it begins. */
export function rowsOf(roots: readonly TreeNode[], { collapsed, opened }: Pick<Focus, "collapsed" | "opened">): Row[] {
  const rows: Row[] = [];
  const stack = pieces(roots, 0, -1).reverse();
  for (let piece = stack.pop(); piece !== undefined; piece = stack.pop()) {
    const { node, run, depth, parent } = piece;
    const key = run === null ? node.nodeId : runKey(node);
    const expandable = run !== null || node.children.length > 0;
    const folded = expandable && (run === null ? collapsed.has(key) : !opened.has(key));
    const index = rows.push({ key, node, run, depth, parent, expandable, folded }) - 1;
    if (!expandable || folded) continue;
    const below = run === null ? pieces(node.children, depth + 1, index) : run.map((each) => ({ node: each, run: null, depth: depth + 1, parent: index }));
    for (let i = below.length - 1; i >= 0; i--) stack.push(below[i] as Piece);
  }
  return rows;
}

type Piece = Pick<Row, "node" | "run" | "depth" | "parent">;

/** Siblings, with each run of equal ones as one piece. */
function pieces(siblings: readonly TreeNode[], depth: number, parent: number): Piece[] {
  const found: Piece[] = [];
  for (let from = 0; from < siblings.length; ) {
    const to = endOfRun(siblings, from);
    const long = to - from >= RUN_LENGTH;
    if (long) found.push({ node: siblings[from] as TreeNode, run: siblings.slice(from, to), depth, parent });
    else for (const node of siblings.slice(from, to)) found.push({ node, run: null, depth, parent });
    from = to;
  }
  return found;
}

function endOfRun(siblings: readonly TreeNode[], from: number): number {
  const first = likeness(siblings[from]);
  let to = from + 1;
  while (first !== null && to < siblings.length && likeness(siblings[to]) === first) to++;
  return to;
}

/** Siblings of the same likeness are equal; null for one that is like no other. */
function likeness(node: TreeNode | undefined): string | null {
  return node?.entry === undefined ? null : `${stepKey(node.entry)}\n${label(node)}`;
}

/** Folding and focus after a key in a treegrid (ARIA Authoring Practices); undefined when the key means nothing there. */
export function afterKey(key: string, rows: readonly Row[], index: number, focus: Focus): Focus | undefined {
  const row = rows[index];
  if (row === undefined) return undefined;
  const at = (target: Row | undefined): Focus => ({ ...focus, at: (target ?? row).key });
  switch (key) {
    case "ArrowDown":
      return at(rows[index + 1]);
    case "ArrowUp":
      return at(rows[index - 1]);
    case "PageDown":
      return at(rows[Math.min(index + PAGE, rows.length - 1)]);
    case "PageUp":
      return at(rows[Math.max(index - PAGE, 0)]);
    case "Home":
      return at(rows[0]);
    case "End":
      return at(rows.at(-1));
    case "ArrowRight":
      if (!row.expandable) return at(row);
      return row.folded ? toggled(focus, row) : at(rows[index + 1]);
    case "ArrowLeft":
      if (row.expandable && !row.folded) return toggled(focus, row);
      return at(rows[row.parent]);
    default:
      return undefined;
  }
}

export function toggled(focus: Focus, row: Row): Focus {
  const field = row.run === null ? "collapsed" : "opened";
  const keys = new Set(focus[field]);
  if (!keys.delete(row.key)) keys.add(row.key);
  return { ...focus, at: row.key, [field]: keys };
}

/** The focus on a span, with everything unfolded that would hide it. */
export function revealed(focus: Focus, tree: Tree, nodeId: string): Focus {
  const collapsed = new Set(focus.collapsed);
  const opened = new Set(focus.opened);
  for (let node = tree.nodes.get(nodeId); node !== undefined; node = node.parent) {
    if (node.nodeId !== nodeId) collapsed.delete(node.nodeId);
    const siblings = node.parent?.children ?? tree.roots;
    const first = firstOfRun(siblings, siblings.indexOf(node));
    if (first !== undefined) opened.add(runKey(first));
  }
  return { at: nodeId, collapsed, opened };
}

function firstOfRun(siblings: readonly TreeNode[], index: number): TreeNode | undefined {
  const like = likeness(siblings[index]);
  if (like === null) return undefined;
  let from = index;
  while (from > 0 && likeness(siblings[from - 1]) === like) from--;
  return endOfRun(siblings, from) - from >= RUN_LENGTH ? siblings[from] : undefined;
}

/** Every span that has children folded, but for the roots. */
export function foldedAll(tree: Tree, focus: Focus): Focus {
  const collapsed = new Set<string>();
  for (const node of tree.nodes.values()) if (node.children.length > 0 && node.parent !== undefined) collapsed.add(node.nodeId);
  return { ...focus, collapsed, opened: new Set() };
}

/** Every span and every run unfolded. */
export function unfoldedAll(tree: Tree, focus: Focus): Focus {
  const opened = new Set<string>();
  const groups = [tree.roots, ...[...tree.nodes.values()].map((node) => node.children)];
  for (const group of groups) for (const { node, run } of pieces(group, 0, -1)) if (run !== null) opened.add(runKey(node));
  return { ...focus, collapsed: new Set(), opened };
}
