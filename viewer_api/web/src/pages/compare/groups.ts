import { one, parseRoute, type Query, type Route } from "../../navigation/route";
import { asked as askedOfList, FILTERS, RANGES, USUAL_RANGE } from "../flows/filters";

/** `a` and `b` are the two groups; the filters of `both` hold for each. */
export type GroupName = "a" | "b" | "both";

const COMMON: ReadonlySet<string> = new Set(["range", "since", "until", "connections"]);
/** What can be asked of a group: the filters of the list, and its words. */
export const GROUP_FILTERS: Readonly<Record<string, string>> = { ...FILTERS, q: "Words" };

export const parameter = (group: GroupName, name: string): string => (group === "both" ? name : `${group}.${name}`);

/** The filters that a group has for itself. */
export function filtersOf(query: Query, group: GroupName): Query {
  return Object.fromEntries(Object.keys(GROUP_FILTERS).flatMap((name) => {
    const values = query[parameter(group, name)];
    return values === undefined ? [] : [[name, values] as const];
  }));
}

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

/** Compares what a list shows with the rest: those that went well, those that were quicker, or everything else of the time. */
export function againstTheRest(list: Query): Route {
  const query: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(list)) {
    if (COMMON.has(name)) query[name] = values;
    else if (name in GROUP_FILTERS) query[`a.${name}`] = values;
  }
  const outcomes = list["outcome"] ?? [];
  if (outcomes.length > 0 && !outcomes.includes("ok")) query["b.outcome"] = ["ok"];
  const least = one(list, "min_duration_ms");
  if (least !== null) query["b.max_duration_ms"] = [least];
  return { page: "compare", id: null, query };
}

/** Whether a list is narrowed by more than its time. */
export const isNarrowed = (list: Query): boolean => Object.keys(list).some((name) => name in GROUP_FILTERS);

export const rangeText = (query: Query): string => RANGES.find(({ id }) => id === (one(query, "range") ?? USUAL_RANGE))?.text ?? "";

export const PRESETS: readonly { readonly id: string; readonly text: string; readonly search: string }[] = [
  { id: "denied", text: "Denied, against those that went well", search: "a.outcome=denied&b.outcome=ok" },
  { id: "failed", text: "Failed, against those that went well", search: "a.outcome=error&b.outcome=ok" },
  { id: "slow", text: "Slower than 5 s, against the rest", search: "a.min_duration_ms=5000&b.max_duration_ms=5000" },
  { id: "costly", text: "More than 1,000 tokens, against the rest", search: "a.min_tokens=1000&b.max_tokens=1000" },
];

export const presetQuery = (search: string): Query => parseRoute(`#/compare?${search}`).query;
