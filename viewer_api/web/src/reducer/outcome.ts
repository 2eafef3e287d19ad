import { isCheckpoint, type SpanEvent } from "./event";
import { answerOf, type Answer } from "./httpAnswer";
import { walk, type Tree } from "./tree";

/** How a flow ended; for a denial also at which gate and why. All null while it is open. */
export interface Verdict {
  readonly outcome: string | null;
  /** Which kind of denial or error the request was answered with. */
  readonly outcomeReason: string | null;
  readonly gate: string | null;
  readonly reason: string | null;
}

/** What a checkpoint can do to its flow, the strongest first. */
const DECISIVE = ["denied", "cancelled", "error"];
/** Checkpoints that can refuse a request. */
const GATES = new Set(["auth_check", "security_check", "block_check", "usage_check", "mcp_permission_check"]);

/** Where a refusal says why: the reason itself, else the policy or guardrail that refused. */
const REASON = "flow.denied.reason";
const REFUSED_BY = [
  "gen_ai.guardrail.result.reason",
  "gen_ai.guardrail.policy.id",
  "gen_ai.guardrail.component.name",
  "litellm.guardrail.name",
  "guardrail_name",
  "plugin.name",
];

/** The span that stands for the whole flow. */
export function mainRoot(tree: Tree): SpanEvent | undefined {
  const tops = tree.roots.map((root) => root.entry).filter((entry) => entry !== undefined);
  const first = tops.find((top) => (top.parent_id ?? null) === null && top.start_ns !== undefined) ?? tops[0];
  if (first !== undefined) return first;
  for (const node of walk(tree)) if (node.entry !== undefined) return node.entry;
  return undefined;
}

/**
 * What the root itself says went wrong counts most; where it says `ok`, or nothing, its checkpoints decide, then what
 * it was answered.
 * An `ok` only means that the application answered. It also answers the requests that its gates refuse.
 */
export function verdictOf(tree: Tree): Verdict {
  const root = mainRoot(tree);
  if (root?.phase !== "end") return { outcome: null, outcomeReason: null, gate: null, reason: null };
  const decisive = decisiveCheckpoint(tree);
  const answer = answerOf(root);
  const outcome = root.outcome === undefined || root.outcome === "ok" ? derived(root, decisive, answer) : root.outcome;
  const outcomeReason = outcome === "denied" || outcome === "error" ? answer.reason : null;
  if (outcome !== "denied" || decisive === undefined) return { outcome, outcomeReason, gate: null, reason: null };
  const attributes = decisive.attributes ?? {};
  const message = decisive.status_message;
  // A message that only repeats an attribute, such as a status, says less than the name of what refused.
  const telling = Object.values(attributes).includes(message) ? undefined : message;
  const said = [attributes[REASON], telling, ...REFUSED_BY.map((place) => attributes[place]), message];
  const reason = said.find((value) => typeof value === "string" && value !== "");
  const gate = refuses(decisive) ? (decisive.event_type ?? null) : null;
  return { outcome, outcomeReason, gate, reason: typeof reason === "string" ? reason : null };
}

function derived(root: SpanEvent, decisive: SpanEvent | undefined, answer: Answer): string {
  if (decisive !== undefined) {
    const word = wordOf(decisive);
    if (word !== "error" || answer.outcome !== "denied") return word;
    // A gate that raised some error of its own, and the application made a refusal of that. Another step may have met
    // a limit of its model's provider (429), but whoever is answered 401 or 403 was refused.
    return refuses(decisive) || answer.reason !== "rate_limited" ? "denied" : word;
  }
  return answer.outcome ?? (root.status === "error" ? "error" : "ok");
}

/** The checkpoint that ended the request: it went wrong, no step began after it, and no step around it went well. */
function decisiveCheckpoint(tree: Tree): SpanEvent | undefined {
  let lastBegun = 0n;
  const wrong: SpanEvent[] = [];
  const wentWell = new Set<string>();
  for (const { entry, nodeId, parent } of walk(tree)) {
    if (parent !== undefined && wentWell.has(parent.nodeId) && outlasted(entry, parent.entry)) wentWell.add(nodeId);
    if (entry === undefined || !isCheckpoint(entry)) continue;
    const begun = BigInt(entry.start_ns ?? 0);
    if (entry.event_type !== "error" && begun > lastBegun) lastBegun = begun;
    if (DECISIVE.includes(wordOf(entry)) && !wentWell.has(nodeId)) wrong.push(entry);
    else if (entry.outcome === "ok") wentWell.add(nodeId);
  }
  const last = wrong.filter((entry) => entry.end_ns === undefined || BigInt(entry.end_ns) >= lastBegun).reverse();
  for (const word of DECISIVE) {
    const found = last.find((entry) => wordOf(entry) === word);
    if (found !== undefined) return found;
  }
  return undefined;
}

function refuses(entry: SpanEvent): boolean {
  return GATES.has(entry.event_type ?? "") || wordOf(entry) === "denied";
}

function wordOf(entry: SpanEvent): string {
  return entry.event_type === "error" ? "error" : (entry.outcome ?? "ok");
}

/** Whether the parent went on after the node; in a chain of steps, each is only the one before the next. */
function outlasted(entry: SpanEvent | undefined, parent: SpanEvent | undefined): boolean {
  if (entry?.phase !== "end" || entry.end_ns === undefined) return true;
  if (parent?.phase !== "end" || parent.end_ns === undefined) return true;
  return BigInt(parent.end_ns) >= BigInt(entry.end_ns);
}
