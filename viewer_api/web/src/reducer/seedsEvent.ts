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
const GOOD = new Set(["ok", "success", "passed", "pass", "allowed", "completed", "complete"]);
const BAD = new Set(["error", "failed", "failure"]);
const DECIMAL = /^[0-9]{1,20}(?:\.[0-9]{1,20})?$/;

type Fields = Record<string, unknown>;

/** The event that one of a gateway older than Spanflow stands for; what has no duration was one moment. */
export function fromSeeds(old: Readonly<Fields>): Fields {
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
  Object.assign(event, result(type, old["status"]));
  const attributes = dataOf(old);
  if (attributes.length > 0) event["attributes"] = Object.fromEntries(attributes);
  return event;
}

function dataOf(old: Readonly<Fields>): [string, unknown][] {
  const attributes: [string, unknown][] = [];
  for (const [field, attribute] of IDENTITY) {
    const id = asId(old[field]);
    if (id !== null) attributes.push([attribute, id]);
  }
  if (typeof old["source"] === "string") attributes.push(["flow.source", old["source"]]);
  for (const [key, value] of Object.entries(old)) {
    if (!OWN_FIELDS.has(key)) attributes.push([`flow.data.${key}`, value]);
  }
  return attributes;
}

function result(type: string, status: unknown): Fields {
  const word = typeof status === "string" ? status.toLowerCase() : "";
  if (type === "error" || BAD.has(word)) return { status: "error", outcome: "error" };
  if (OUTCOMES.has(word)) return { status: "unset", outcome: word };
  if (GOOD.has(word)) return { status: "unset", outcome: "ok" };
  return word === "" ? { status: "unset" } : { status: "unset", status_message: status };
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
