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

export const PRESETS: readonly { readonly id: string; readonly text: string; readonly search: string }[] = [
  { id: "denied", text: "Denied, against those that went well", search: "a.outcome=denied&b.outcome=ok" },
  { id: "failed", text: "Failed, against those that went well", search: "a.outcome=error&b.outcome=ok" },
  { id: "slow", text: "Slower than 5 s, against the rest", search: "a.min_duration_ms=5000&b.max_duration_ms=5000" },
  { id: "costly", text: "More than 1,000 tokens, against the rest", search: "a.min_tokens=1000&b.max_tokens=1000" },
];

export const presetQuery = (search: string): Query => parseRoute(`#/compare?${search}`).query;
