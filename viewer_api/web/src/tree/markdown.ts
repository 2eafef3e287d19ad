import { durationNs, valueText } from "../format";
import { walk, type Tree, type TreeNode } from "../reducer/tree";
import { appearance, explanation, label, type Appearance } from "./appearance";
import { elapsedNs, type Timeline } from "./timeline";

/** Longer trees are cut: this is for tickets and chats. */
const MOST_LINES = 200;

/** A flow as a list in Markdown. */
export function flowMarkdown(tree: Tree, look: Appearance, timeline: Timeline, link: string): string {
  const root = tree.roots[0];
  const title = root === undefined ? "Flow" : label(root);
  const lines = [...walk(tree)].slice(0, MOST_LINES).map((node) => `${"  ".repeat(node.depth)}- ${line(node, timeline.endNs)}`);
  const rest = tree.nodes.size - lines.length;
  if (rest > 0) lines.push(`- … and ${rest} more`);
  return [`**${escaped(title)}**: ${look.words}, ${durationNs(timeline.endNs - timeline.startNs)} ([open](${link}))`, "", ...lines, ""].join("\n");
}

/** A span with its attributes in Markdown. */
export function spanMarkdown(node: TreeNode, nowNs: bigint, link: string): string {
  const attributes = Object.entries(node.entry?.attributes ?? {}).map(([name, value]) => `| ${escaped(name)} | ${escaped(valueText(value))} |`);
  const table = attributes.length === 0 ? [] : ["", "| attribute | value |", "|---|---|", ...attributes];
  return [`${line(node, nowNs)} ([open](${link}))`, ...table, ""].join("\n");
}

function line(node: TreeNode, nowNs: bigint): string {
  const { sign, words } = appearance(node);
  const elapsed = elapsedNs(node, nowNs);
  const why = explanation(node);
  return `${sign} **${escaped(label(node))}** ${words}${elapsed === undefined ? "" : `, ${durationNs(elapsed)}`}${why === null ? "" : `: ${escaped(why)}`}`;
}

/** Recorded text must not become markup where it is pasted. */
const escaped = (text: string) => text.replace(/[\\`*_[\]<>|#]/g, "\\$&").replace(/\s+/g, " ");

