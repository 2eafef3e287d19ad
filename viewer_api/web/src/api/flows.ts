import { call } from "./http";

export interface FlowSummary {
  readonly flow_id: string;
  readonly session_id: string | number | null;
  readonly name: string | null;
  readonly open: boolean;
  readonly outcome: string | null;
  readonly outcome_reason: string | null;
  readonly started_at: string | null;
  readonly duration_ms: number | null;
  readonly span_count: number;
  readonly checkpoint_count: number;
  readonly error_count: number;
  readonly tokens_input: number;
  readonly tokens_output: number;
  readonly cost: number | null;
  readonly tools: readonly string[];
  readonly denied_gate: string | null;
  readonly denied_reason: string | null;
  readonly error_message: string | null;
}

export interface FlowPage {
  readonly flows: readonly FlowSummary[];
  readonly next: string | null;
}

export interface Flow {
  readonly flow_id: string;
  readonly user_id: string | number | null;
  readonly session_id: string | number | null;
  readonly open: boolean;
  readonly flow_data: { readonly events?: readonly unknown[] };
}

export function flowsOf(userId: string, cursor: string | undefined, signal: AbortSignal): Promise<FlowPage> {
  return call<FlowPage>("flows", { query: { user_id: userId, limit: 50, cursor }, signal });
}

export function flow(flowId: string, signal: AbortSignal): Promise<Flow> {
  return call<Flow>(`flows/${encodeURIComponent(flowId)}`, { signal });
}
