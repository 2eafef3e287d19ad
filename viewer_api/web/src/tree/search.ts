import type { Tree } from "../reducer/tree";
import { walk } from "../reducer/tree";

/** The spans that contain every word, in reading order: in their name, type, ids, message or attributes. */
export function matches(tree: Tree, text: string): string[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const found: string[] = [];
  for (const { entry, nodeId } of walk(tree)) {
    if (entry === undefined) continue;
    const { name, event_type: type, status_message: message, attributes } = entry;
    const said = [nodeId, name, type, message, attributes === undefined ? "" : JSON.stringify(attributes)].join("\n").toLowerCase();
    if (words.every((word) => said.includes(word))) found.push(nodeId);
  }
  return found;
}
