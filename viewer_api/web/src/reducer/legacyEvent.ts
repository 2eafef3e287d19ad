import { isId } from "./ids";

const OWN_FIELDS = new Set([
  "type", "node_id", "parent_id", "event_type", "timestamp", "duration_ms", "status", "source",
  "user_id", "session_id", "conversation_id", "flow_id",
]);
const IDENTITY = [
  ["user_id", "user.id"],
  ["session_id", "flow.session_id"],
  ["conversation_id", "gen_ai.conversation.id"],
] as const;
const OUTCOMES = new Set(["ok", "denied", "error", "cancelled", "interrupted"]);
const WORDS = new Map([
  ...[...OUTCOMES].map((outcome) => [outcome, outcome] as const),
  ...["success", "passed", "pass", "allowed", "completed", "complete"].map((word) => [word, "ok"] as const),
  ...["blocked", "rejected", "forbidden", "flagged", "refused"].map((word) => [word, "denied"] as const),
  ...["failed", "failure"].map((word) => [word, "error"] as const),
]);
/** Answers of a check; false is a refusal. */
const ANSWERS = ["allowed", "passed", "safe"];
const DECIMAL = /^[0-9]{1,20}(?:\.[0-9]{1,20})?$/;

type Fields = Record<string, unknown>;

/** The event that one of a gateway older than Spanflow stands for; what has no duration was one moment. */
export function fromLegacy(old: Readonly<Fields>): Fields {
  const type = typeof old["event_type"] === "string" && old["event_type"] !== "" ? old["event_type"] : "span";
  const event: Fields = {
    phase: "end",
    node_id: asId(old["node_id"]),
    parent_id: asId(old["parent_id"]),
    event_type: type,
    name: type,
  };
  const flowId = asId(old["flow_id"]);
  if (flowId !== null) event["flow_id"] = flowId;
  const start = microseconds(old["timestamp"], 1e6);
  if (start !== null) {
    const end = start + (microseconds(old["duration_ms"], 1e3) ?? 0);
    event["start_ns"] = String(BigInt(start) * 1000n);
    event["end_ns"] = String(BigInt(end) * 1000n);
  }
  const outcome = type === "error" ? "error" : outcomeIn(old);
  event["status"] = outcome === "error" ? "error" : "unset";
  if (outcome !== undefined) event["outcome"] = outcome;
  const attributes = dataOf(old, outcome);
  if (attributes.length > 0) event["attributes"] = Object.fromEntries(attributes);
  return event;
}

function dataOf(old: Readonly<Fields>, outcome: string | undefined): [string, unknown][] {
  const attributes: [string, unknown][] = [];
  for (const [field, attribute] of IDENTITY) {
    const id = asId(old[field]);
    if (id !== null) attributes.push([attribute, id]);
  }
  if (outcome === "denied") attributes.push(["flow.denied.reason", refusalIn(old)]);
  const status = old["status"];
  if (typeof status === "string" && status !== "" && !OUTCOMES.has(status)) attributes.push(["flow.data.status", status]);
  if (typeof old["source"] === "string") attributes.push(["flow.source", old["source"]]);
  for (const [key, value] of Object.entries(old)) {
    if (!OWN_FIELDS.has(key)) attributes.push([`flow.data.${key}`, value]);
  }
  return attributes;
}

function outcomeIn(old: Readonly<Fields>): string | undefined {
  if (ANSWERS.some((answer) => isFalse(old[answer]))) return "denied";
  const status = old["status"];
  return typeof status === "string" ? WORDS.get(status.toLowerCase()) : undefined;
}

function refusalIn(old: Readonly<Fields>): string {
  for (const word of ["reason", "message", "error", "status"]) {
    const said = old[word];
    if (typeof said === "string" && said !== "") return said;
  }
  return isFalse(old["safe"]) ? "flagged" : "refused";
}

function isFalse(value: unknown): boolean {
  return value === false || (typeof value === "string" && value.toLowerCase() === "false");
}

function asId(value: unknown): string | null {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  return isId(text) ? text : null;
}

function microseconds(value: unknown, factor: number): number | null {
  const number = typeof value === "string" && DECIMAL.test(value) ? Number(value) : value;
  if (typeof number !== "number") return null;
  const scaled = number * factor + 0.5;
  return scaled >= 0 && scaled < 2 ** 53 ? Math.floor(scaled) : null;
}
