import { isCheckpoint, type SpanEvent } from "./event";
import type { TreeNode } from "./tree";

/** Where the subject of a call may be named, the best place first. */
const SUBJECTS = ["gen_ai.tool.name", "flow.data.tool", "flow.data.tool_name", "tool.name", "gen_ai.prompt.name", "mcp.resource.uri"];
/** Gateways put a server's name before a tool's. */
const SEPARATORS = "-_./:";
const CALLS = new Set(["tool_call", "llm_thinking", "embedding", "prompt_get", "resource_read", "elicitation"]);

/** Whether a checkpoint tells of the call of which its nearest checkpoint ancestor tells already. */
function isSameCall(entry: SpanEvent, around: SpanEvent): boolean {
  const type = entry.event_type ?? "span";
  if (!CALLS.has(type) || around.event_type !== type || cameAfter(entry, around)) return false;
  if (type === "llm_thinking") return true; // a model's call cannot make another one but through a tool or an agent
  const id = text(entry, "gen_ai.tool.call.id");
  const aroundId = text(around, "gen_ai.tool.call.id");
  if (id !== undefined && aroundId !== undefined) return id === aroundId;
  return sameSubject(subject(entry), subject(around));
}

/** Marks every node whose checkpoint is the same call as the nearest one above it. `nodes` has parents before children. */
export function markSameCalls(nodes: Iterable<TreeNode>): void {
  const nearest = new Map<TreeNode, SpanEvent | undefined>();
  for (const node of nodes) {
    const { parent, entry } = node;
    const above = parent?.entry !== undefined && isCheckpoint(parent.entry) ? parent.entry : parent && nearest.get(parent);
    nearest.set(node, above);
    node.sameCall = entry !== undefined && above !== undefined && isSameCall(entry, above);
  }
}

/** In a chain of steps, the parent is the step before. Clocks of two processes say nothing about that. */
function cameAfter(entry: SpanEvent, around: SpanEvent): boolean {
  if (around.phase !== "end" || entry.process !== around.process) return false;
  if (entry.start_ns === undefined || around.end_ns === undefined) return false;
  return BigInt(entry.start_ns) >= BigInt(around.end_ns);
}

function subject(entry: SpanEvent): string | undefined {
  for (const place of SUBJECTS) {
    const found = text(entry, place);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sameSubject(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined || one === other) return true;
  const [longer, shorter] = one.length > other.length ? [one, other] : [other, one];
  return longer.endsWith(shorter) && SEPARATORS.includes(longer.at(-shorter.length - 1) ?? " ");
}

function text(entry: SpanEvent, name: string): string | undefined {
  const value = entry.attributes?.[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
