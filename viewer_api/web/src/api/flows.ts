import type { Query } from "../navigation/route";
import type { Activity } from "./conversations";
import { call } from "./http";

export interface FlowSummary {
  readonly flow_id: string;
  readonly session_id: string | number | null;
  readonly user_id: string | number | null;
  readonly conversation_id: string | number | null;
  readonly email?: string | null;
  readonly full_name?: string | null;
  readonly source: string | null;
  readonly name: string | null;
  readonly open: boolean;
  readonly outcome: string | null;
  readonly outcome_reason: string | null;
  readonly started_at: string | null;
  readonly completed_at: string | null;
  readonly duration_ms: number | null;
  readonly span_count: number;
  readonly checkpoint_count: number;
  readonly error_count: number;
  readonly tokens_input: number;
  readonly tokens_output: number;
  readonly cost: number | null;
  readonly tools: readonly string[];
  readonly models: readonly string[];
  readonly mcp_servers: readonly string[];
  readonly denied_gate: string | null;
  readonly denied_reason: string | null;
  readonly error_message: string | null;
  /** What operators think of it, for those who may know. */
  readonly verdict?: string | null;
}

export interface FlowPage {
  readonly flows: readonly FlowSummary[];
  readonly next: string | null;
  readonly without_running?: boolean;
  readonly searched_until?: string;
  readonly count?: { readonly value: number; readonly kind: string };
}

export type Contents = "full" | "hash" | "off" | "mixed" | "withheld" | "not_shared";

export interface Flow {
  readonly flow_id: string;
  readonly user_id: string | number | null;
  readonly session_id: string | number | null;
  readonly conversation_id?: string | number | null;
  readonly email?: string | null;
  readonly full_name?: string | null;
  readonly open: boolean;
  /** Its page in Jaeger or Grafana, where the viewer knows one. */
  readonly trace_url?: string;
  /** Spans that a limit kept out of the archive. */
  readonly cut_spans?: number;
  /** What there is of prompts, answers, arguments and results; null when no process says. */
  readonly contents?: Contents | null;
  readonly flow_data: { readonly events?: readonly unknown[] };
}

/** The first words of what was asked in a flow and of the last answer, where they were recorded and may be seen. */
export interface FlowPreview {
  readonly flow_id: string;
  readonly question: string | null;
  readonly answer: string | null;
}

const PAGE = 50;
/** As many as the viewer answers for at once. */
export const MAX_PREVIEWS = 50;

/** Flows that match every filter; the filters are the API's own names. */
export function searchFlows(filters: Query, cursor: string | undefined, signal: AbortSignal): Promise<FlowPage> {
  return call<FlowPage>("flows", {
    query: { ...filters, limit: PAGE, cursor, ...(cursor === undefined ? { count: "estimated" } : {}) },
    signal,
  });
}

export function flow(flowId: string, signal: AbortSignal): Promise<Flow> {
  return call<Flow>(`flows/${encodeURIComponent(flowId)}`, { signal });
}

export interface FlatFlow {
  /** The spans that the flow's duration is made of, by id. */
  readonly critical_path: readonly string[];
  readonly spans: readonly {
    readonly node_id: string;
    /** How many of 100 steps of its kind took no longer; missing where too few are known. */
    readonly percentile?: number | null;
  }[];
}

/** What the viewer computes of a flow and its steps. */
export function flatFlow(flowId: string, signal: AbortSignal): Promise<FlatFlow> {
  return call<FlatFlow>(`flows/${encodeURIComponent(flowId)}/flat`, { signal });
}

export async function activitiesOf(flowId: string, signal: AbortSignal): Promise<readonly Activity[]> {
  const { activities } = await call<{ activities: readonly Activity[] }>(`flows/${encodeURIComponent(flowId)}/activities`, { signal });
  return activities;
}

export async function flowPreviews(flowIds: readonly string[], signal: AbortSignal): Promise<readonly FlowPreview[]> {
  const { previews } = await call<{ readonly previews: readonly FlowPreview[] }>("flows/previews", { query: { flow_id: flowIds }, signal });
  return previews;
}
