import { canonical, isObject } from "./canonical";
import type { Log, Phase, SpanEvent } from "./event";
import { compareText } from "./text";

/** A start, or what came last; without the fields that all events of a span share. */
type Part = Readonly<Record<string, unknown>>;
type Fields = Record<string, unknown>;

const RANK: Readonly<Record<Phase, number>> = { start: 0, update: 1, end: 2 };
const GROUPS = ["attributes", "types"] as const;
const NOT_A_FIELD = new Set(["phase", "attributes", "types", "v", "flow_id", "node_id", "late", "was"]);
const ATTRIBUTE = "attributes/";
/** Log records of one span; beyond, the earliest stay. */
const MOST_RECORDS = 1000;
const TIME = /^[0-9]{1,20}$/;

/**
 * One span out of all its events: the greatest start, the greatest of what came after it, and the set of log records
 * about it. The result depends only on the set of events, and a merged entry can be taken apart into the same again.
 */
export class SpanRecord {
  private start: Part | undefined;
  private last: Part | undefined;
  /** By their canonical text: the same one may come again. */
  private readonly records = new Map<string, Log>();
  private merged: SpanEvent | undefined;

  constructor(readonly nodeId: string) {}

  /** Take in an event or a merged entry; whether that changed anything. */
  add(event: SpanEvent): boolean {
    const [start, last] = split(event);
    let changed = false;
    for (const log of event.logs ?? []) {
      if (log.record !== true) continue;
      const key = canonical(log);
      changed ||= !this.records.has(key);
      this.records.set(key, log);
    }
    if (start !== undefined && (this.start === undefined || greater(start, this.start))) {
      this.start = start;
      changed = true;
    }
    if (last !== undefined && (this.last === undefined || later(last, this.last))) {
      this.last = last;
      changed = true;
    }
    if (changed) this.merged = undefined;
    return changed;
  }

  entry(): SpanEvent {
    if (this.merged === undefined) {
      const empty = this.records.size > 0 && isEmptyUpdate(this.last);
      this.merged = withRecords(mergedEntry(this.nodeId, this.start, empty ? undefined : this.last), this.records);
    }
    return this.merged;
  }
}

function later(one: Part, other: Part): boolean {
  const rank = RANK[one["phase"] as Phase] - RANK[other["phase"] as Phase];
  if (rank !== 0) return rank > 0;
  const a = timeOf(one);
  const b = timeOf(other);
  if (a !== b) return a > b;
  // The least of all: entries that stand for log records alone do not keep it.
  if (isEmptyUpdate(other)) return !isEmptyUpdate(one);
  return !isEmptyUpdate(one) && greater(one, other);
}

function timeOf(last: Part): bigint {
  return BigInt((last[last["phase"] === "end" ? "end_ns" : "updated_ns"] as string | undefined) ?? 0);
}

function greater(one: Part, other: Part): boolean {
  return compareText(canonical(one), canonical(other)) > 0;
}

/** The entry with log records about its span. A span of which nothing else is known is stood in for by them. */
function withRecords(entry: SpanEvent, records: ReadonlyMap<string, Log>): SpanEvent {
  if (records.size === 0) return entry;
  const byTime = ([key, log]: [string, Log], [otherKey, other]: [string, Log]) =>
    Number(momentOf(log) - momentOf(other)) || compareText(key, otherKey);
  const logs = [...records].sort(byTime).slice(0, MOST_RECORDS).map(([, log]) => log);
  if (Object.hasOwn(entry, "phase")) return { ...entry, logs: [...(entry.logs ?? []), ...logs] };
  const [first, last] = [logs[0] as Log, logs.at(-1) as Log];
  const stub = { stub: true, phase: "end" as const, event_type: "span", name: first.name };
  return { ...entry, ...stub, start_ns: String(momentOf(first)), end_ns: String(momentOf(last)), logs };
}

function momentOf(log: Log): bigint {
  return typeof log.time_ns === "string" && TIME.test(log.time_ns) ? BigInt(log.time_ns) : 0n;
}

function split(given: SpanEvent): [Part | undefined, Part | undefined] {
  let event = given;
  const own = given.logs?.filter((log) => log.record !== true);
  if (own !== undefined && own.length < (given.logs?.length ?? 0)) {
    if (given["stub"] === true) return [undefined, undefined];
    const { logs: _, ...rest } = given;
    event = own.length > 0 ? { ...given, logs: own } : (rest as SpanEvent);
    if (own.length === 0 && !Array.isArray(event["late"]) && isEmptyUpdate(whole(event))) return [undefined, undefined];
  }
  if (event.phase === "start") return [whole(event), undefined];
  const late = event["late"];
  if (!Array.isArray(late)) return [undefined, whole(event)];
  return splitMerged(event, new Set(late.filter((mark) => typeof mark === "string")));
}

const whole = (event: SpanEvent): Part => part(event, event.phase, event.attributes, event.types);

/** Whether it is an update that says nothing about the span itself. */
const isEmptyUpdate = (last: Part | undefined) => last?.["phase"] === "update" && Object.keys(last).length === 1;

/** A part in its one form: an empty group is left out, and so are types of attributes that are not there. */
function part(fields: Part, phase: Phase, attributes: unknown, types: unknown): Part {
  const kept: [string, unknown][] = Object.entries(fields).filter(
    ([key, value]) => !NOT_A_FIELD.has(key) && !key.startsWith(ATTRIBUTE) && !(key === "logs" && isEmptyList(value)),
  );
  kept.push(["phase", phase]);
  if (isObject(attributes) && Object.keys(attributes).length > 0) {
    kept.push(["attributes", attributes]);
    const needed = entriesOf(types).filter(([key]) => Object.hasOwn(attributes, key));
    if (needed.length > 0) kept.push(["types", Object.fromEntries(needed)]);
  }
  return Object.fromEntries(kept);
}

function splitMerged(entry: SpanEvent, late: ReadonlySet<string>): [Part, Part] {
  const was: Fields = isObject(entry["was"]) ? entry["was"] : {};
  const [attributes, types] = GROUPS.map((group) => {
    const isLate = ([key]: [string, unknown]) => late.has(ATTRIBUTE + key);
    const all = entriesOf(entry[group]);
    const before = [...all.filter((member) => !isLate(member)), ...entriesOf(was[group])];
    return [Object.fromEntries(before), Object.fromEntries(all.filter(isLate))] as const;
  }) as [readonly [Fields, Fields], readonly [Fields, Fields]];
  const fields = Object.entries(entry);
  const early = [...fields.filter(([key]) => !late.has(key)), ...Object.entries(was)];
  return [
    part(Object.fromEntries(early), "start", attributes[0], types[0]),
    part(Object.fromEntries(fields.filter(([key]) => late.has(key))), entry.phase, attributes[1], types[1]),
  ];
}

/** One entry for the two parts of a span: what came last wins, field by field and attribute by attribute. */
function mergedEntry(nodeId: string, start: Part | undefined, last: Part | undefined): SpanEvent {
  if (start === undefined || last === undefined) {
    return { node_id: nodeId, ...(start ?? last) } as unknown as SpanEvent;
  }
  const entry: Fields = { node_id: nodeId, ...start, ...last };
  const late = Object.keys(last).filter((field) => field !== "phase" && field !== "attributes" && field !== "types");
  const was = late.filter((field) => Object.hasOwn(start, field)).map((field): [string, unknown] => [field, start[field]]);
  const changed = asObject(last["attributes"]);
  for (const group of GROUPS) {
    const before = entriesOf(start[group]);
    const after = entriesOf(last[group]);
    // A type belongs to its attribute: it goes when a later event sets the attribute again.
    const shadowed = before.filter(([key]) => Object.hasOwn(changed, key));
    const all = [...before.filter(([key]) => !Object.hasOwn(changed, key)), ...after];
    if (all.length > 0) entry[group] = Object.fromEntries(all);
    else delete entry[group];
    if (shadowed.length > 0) was.push([group, Object.fromEntries(shadowed)]);
  }
  late.push(...Object.keys(changed).map((key) => ATTRIBUTE + key));
  entry["late"] = late.sort(compareText);
  if (was.length > 0) entry["was"] = Object.fromEntries(was);
  return entry as unknown as SpanEvent;
}

const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0;

function asObject(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function entriesOf(value: unknown): [string, unknown][] {
  return Object.entries(asObject(value));
}
