import { isObject } from "./canonical";
import { isId } from "./ids";
import { fromLegacy } from "./legacyEvent";

export type Phase = "start" | "update" | "end";
export type Attributes = Readonly<Record<string, unknown>>;

/** Something that happened at one moment of a span, or a log record about the span (`record`). */
export interface Log {
  readonly name: string;
  readonly time_ns: string;
  readonly record?: boolean;
  readonly attributes?: Attributes;
}

/** The start, an update or the end of a span, or all of them merged. `docs/events.md` has the fields. */
export interface SpanEvent {
  readonly phase: Phase;
  readonly node_id: string;
  readonly parent_id?: string | null;
  readonly flow_id?: string;
  readonly event_type?: string;
  readonly name?: string;
  readonly kind?: string;
  readonly start_ns?: string;
  readonly end_ns?: string;
  readonly updated_ns?: string;
  readonly status?: string;
  readonly status_message?: string;
  readonly outcome?: string;
  readonly attributes?: Attributes;
  readonly types?: Attributes;
  readonly logs?: readonly Log[];
  readonly links?: readonly Record<string, unknown>[];
  readonly process?: string;
  readonly scope?: string;
  readonly [field: string]: unknown;
}

export class EventError extends Error {}

const TIME = /^[0-9]{1,20}$/;

const isTime = (value: unknown) => typeof value === "string" && TIME.test(value);
const isText = (value: unknown) => typeof value === "string";
const areParts = (value: unknown) =>
  Array.isArray(value) &&
  value.every((part) => isObject(part) && isObject(part["attributes"] ?? {}) && isObject(part["types"] ?? {}));

const CHECKS: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ["phase", (value: unknown) => value === "start" || value === "update" || value === "end"],
  ["parent_id", (value: unknown) => value === null || isId(value)],
  ...["start_ns", "end_ns", "updated_ns"].map((field) => [field, isTime] as const),
  ...["attributes", "types"].map((field) => [field, isObject] as const),
  ...["links", "logs"].map((field) => [field, areParts] as const),
  ...["flow_id", "event_type", "name", "kind", "status", "status_message", "outcome", "process", "scope", "trace_state"].map(
    (field) => [field, isText] as const,
  ),
]);

/** `value` as an event: itself when it is one, translated when it is one of a gateway older than Spanflow. */
export function checked(value: unknown): SpanEvent {
  if (!isObject(value)) throw new EventError("an event is an object");
  const event = Object.hasOwn(value, "phase") ? value : fromLegacy(value);
  if (!isId(event["node_id"])) throw new EventError("node_id is no id");
  for (const [field, content] of Object.entries(event)) {
    if (CHECKS.get(field)?.(content) === false) throw new EventError(`${field} has a value it cannot have`);
  }
  return event as unknown as SpanEvent;
}

/** Whether the span is a step that a person would name, and not an HTTP call or a query beneath one. */
export function isCheckpoint(event: SpanEvent): boolean {
  return (event.event_type ?? "span") !== "span";
}
