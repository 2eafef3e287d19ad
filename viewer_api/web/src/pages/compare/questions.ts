import { parseRoute, type Query, type Route } from "../../navigation/route";
import { asked as askedOfList } from "../flows/filters";
import { COMMON, filtersOf, GROUP_FILTERS } from "./groups";

/** What the viewer is asked: the time range and the filters of both groups. */
export function askedOf(query: Query, nowMs: number): Query {
  const { q, ...common } = query;
  const own = Object.entries(query).filter(([name]) => /^[ab]\./.test(name));
  const { sort: _sort, ...shared } = askedOfList({ ...common, ...(q === undefined ? {} : { q }) }, nowMs);
  return { ...shared, ...Object.fromEntries(own) };
}

/** The list of the flows of a group, and of those only that a further filter finds. */
export function listOf(query: Query, group: "a" | "b", filter: Readonly<Record<string, string | number>> = {}): Route {
  const common = Object.entries(query).filter(([name]) => COMMON.has(name) || name in GROUP_FILTERS);
  const more = Object.entries(filter).map(([name, value]) => [name, [String(value)]] as const);
  return { page: "flows", id: null, query: { ...Object.fromEntries(common), ...filtersOf(query, group), ...Object.fromEntries(more) } };
}

interface Preset {
  readonly id: string;
  readonly text: string;
  readonly search: string;
}

const HOUR_MS = 3_600_000;
const WEEK_MS = 168 * HOUR_MS;

/** Since whole hours, so that the same question stays the same for a while. */
export function lastWeek(nowMs: number): Preset {
  const back = (weeks: number) => new Date(Math.floor(nowMs / HOUR_MS) * HOUR_MS - weeks * WEEK_MS).toISOString();
  const search = `range=30d&a.started_since=${back(1)}&b.started_since=${back(2)}&b.started_until=${back(1)}`;
  return { id: "week", text: "The last 7 days, against the 7 before", search };
}

export const PRESETS: readonly Preset[] = [  { id: "denied", text: "Denied, against those that went well", search: "a.outcome=denied&b.outcome=ok" },
  { id: "failed", text: "Failed, against those that went well", search: "a.outcome=error&b.outcome=ok" },
  { id: "slow", text: "Slower than 5 s, against the rest", search: "a.min_duration_ms=5000&b.max_duration_ms=5000" },
  { id: "costly", text: "More than 1,000 tokens, against the rest", search: "a.min_tokens=1000&b.max_tokens=1000" },
];

export const presetQuery = (search: string): Query => parseRoute(`#/compare?${search}`).query;
