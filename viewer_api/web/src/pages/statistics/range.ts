import type { Interval } from "../../api/statistics";
import { one, type Query, type QueryChange } from "../../navigation/route";
import { FILTERS, RANGES } from "../flows/filters";

export const USUAL = "24h";
/** Everything of any time cannot be added up for one answer. */
export const STATISTICS_RANGES = RANGES.filter(({ ms }) => ms !== null);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LENGTHS: Readonly<Record<Interval, number>> = { minute: MINUTE, hour: HOUR, day: 24 * HOUR };
const MOST_MINUTES_MS = 3 * HOUR;
const MOST_HOURS_MS = 4 * 24 * HOUR;
/** The viewer keeps minutes for three days. */
const MINUTES_KEPT_MS = 71 * HOUR;

export interface Range {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly interval: Interval;
}

/** What is counted, from the parameters of the address; to the whole minute, so that the same question stays the same. */
export function rangeOf(query: Query, nowMs: number): Range {
  const now = Math.floor(nowMs / MINUTE) * MINUTE + MINUTE;
  const until = Date.parse(one(query, "until") ?? "");
  const untilMs = Number.isNaN(until) ? now : until;
  const since = Date.parse(one(query, "since") ?? "");
  const wanted = STATISTICS_RANGES.find(({ id }) => id === (one(query, "range") ?? USUAL)) ?? STATISTICS_RANGES.find(({ id }) => id === USUAL);
  const sinceMs = Number.isNaN(since) ? untilMs - (wanted?.ms ?? 24 * HOUR) : since;
  const length = untilMs - sinceMs;
  const interval = length <= MOST_MINUTES_MS && sinceMs > now - MINUTES_KEPT_MS ? "minute" : length <= MOST_HOURS_MS ? "hour" : "day";
  return { sinceMs, untilMs, interval };
}

/** The same as parameters of the API, with the filters of flows that the address has. */
export function filtersOf(query: Query, { sinceMs, untilMs }: Range): Query {
  const filters = Object.entries(query).filter(([name]) => name in FILTERS && !name.startsWith("started_"));
  return { ...Object.fromEntries(filters), since: [new Date(sinceMs).toISOString()], until: [new Date(untilMs).toISOString()] };
}

/** A series with a point for every interval of the range, also for those in which nothing happened. */
export function filled<P extends { readonly start: string }>(series: readonly P[], since: string, until: string, interval: Interval): readonly Slot<P>[] {
  const length = LENGTHS[interval];
  const byStart = new Map(series.map((point) => [Date.parse(point.start), point]));
  const slots: Slot<P>[] = [];
  for (let start = Math.floor(Date.parse(since) / length) * length; start < Date.parse(until); start += length) {
    slots.push({ startMs: start, endMs: start + length, point: byStart.get(start) });
  }
  return slots;
}

export interface Slot<P> {
  readonly startMs: number;
  readonly endMs: number;
  readonly point: P | undefined;
}

/** The address with another range, such as one that was dragged over in a chart; no narrower than a minute. */
export function narrowedTo(fromMs: number, toMs: number): QueryChange {
  const since = Math.floor(fromMs / MINUTE) * MINUTE;
  const until = Math.max(Math.ceil(toMs / MINUTE) * MINUTE, since + MINUTE);
  return { range: null, since: new Date(since).toISOString(), until: new Date(until).toISOString() };
}
