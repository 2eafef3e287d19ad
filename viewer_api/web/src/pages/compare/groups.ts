import { one, type Query, type Route } from "../../navigation/route";
import { FILTERS } from "../flows/filters";

/** `a` and `b` are the two groups; the filters of `both` hold for each. */
export type GroupName = "a" | "b" | "both";

/** Parameters of a list that are no filters of its own. */
export const COMMON: ReadonlySet<string> = new Set(["range", "since", "until", "connections"]);
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
