import { verdictWords } from "../../api/notes";
import type { Query } from "../../navigation/route";
import { dateTime } from "../../format";
import { one, parseRoute, type Route } from "../../navigation/route";

/** How long ago a list begins, as it stands in the address (`range=24h`). */
export const RANGES: readonly { readonly id: string; readonly text: string; readonly ms: number | null }[] = [
  { id: "15m", text: "Last 15 minutes", ms: 900_000 },
  { id: "1h", text: "Last hour", ms: 3_600_000 },
  { id: "24h", text: "Last 24 hours", ms: 86_400_000 },
  { id: "7d", text: "Last 7 days", ms: 604_800_000 },
  { id: "30d", text: "Last 30 days", ms: 2_592_000_000 },
  { id: "all", text: "Any time", ms: null },
];
export const USUAL_RANGE = "7d";

export const OUTCOMES = ["running", "ok", "denied", "error", "cancelled", "interrupted"] as const;

export const SORTS: readonly { readonly id: string; readonly text: string }[] = [
  { id: "newest", text: "Newest first" },
  { id: "duration", text: "Longest first" },
  { id: "tokens", text: "Most tokens first" },
  { id: "cost", text: "Most expensive first" },
];

/** Filters that are typed or clicked, by their names in the API, and how the page calls them. */
export const FILTERS: Readonly<Record<string, string>> = {
  id: "Id begins with",
  user_id: "User",
  user: "Person",
  session_id: "Session",
  conversation_id: "Conversation",
  source: "Source",
  outcome: "Outcome",
  outcome_reason: "Kind of denial or error",
  verdict: "Verdict",
  gate: "Gate",
  checkpoint: "Type of step",
  step: "Step",
  tool: "Tool",
  mcp_server: "MCP server",
  model: "Model",
  min_duration_ms: "Duration at least (ms)",
  max_duration_ms: "Duration at most (ms)",
  min_tokens: "Tokens at least",
  max_tokens: "Tokens at most",
  min_cost: "Cost at least",
  max_cost: "Cost at most",
  team: "Team",
  stopped_at: "Last gate reached",
  started_since: "Began from",
  started_until: "Began before",
};

/** How filters are called on every page; conversations have one more. */
export const FILTER_LABELS: Readonly<Record<string, string>> = { ...FILTERS, min_tool_calls: "Tool calls at least" };

/** What is shown of a filter's value: moments as this computer writes them, and verdicts in words. */
export const filterText = (name: string, value: string): string =>
  name.startsWith("started_") ? dateTime(value) : name === "verdict" ? verdictWords(value) : value;

/** Whether open connections, health checks and the like stay out of the list: requests without a step that did not fail. */
export const hidesConnections = (query: Query) => one(query, "connections") !== "show";

/** What the viewer is asked, from the parameters of the address. `nowMs` is rounded so that the same question stays the same. */
export function asked(query: Query, nowMs: number): Query {
  const wanted: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(query)) {
    if (name in FILTERS || ["q", "sort", "since", "until"].includes(name)) wanted[name] = values;
  }
  const range = RANGES.find(({ id }) => id === (one(query, "range") ?? USUAL_RANGE));
  if (hidesConnections(query)) wanted["stepless"] = ["hide"];
  if (wanted["since"] === undefined && wanted["until"] === undefined && range?.ms != null) wanted["since"] = [new Date(nowMs - range.ms).toISOString()];
  return wanted;
}

/** The list that shows exactly the flows of a search of the API, such as `/api/v1/flows?outcome=denied`. */
export function flowsAt(link: string): Route {
  const { stepless, ...query } = parseRoute(`#/flows?${link.split("?")[1] ?? ""}`).query;
  return { page: "flows", id: null, query: { ...query, range: ["all"], ...(stepless === undefined ? { connections: ["show"] } : {}) } };
}
