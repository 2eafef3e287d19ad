import type { Query } from "../navigation/route";
import type { FlowSummary } from "./flows";
import { call } from "./http";

export type Status = "same" | "slower" | "faster" | "changed" | "added" | "removed" | "missing" | "unknown";

/** What one flow says of a row; which fields there are follows from the row's kind. */
export interface Side {
  readonly node_id?: string;
  readonly node_ids?: readonly string[];
  readonly duration_ms?: number;
  readonly self_ms?: number;
  readonly outcome?: string | null;
  readonly open?: boolean;
  /** Of a run of equal steps. */
  readonly count?: number;
  readonly total_ms?: number;
  readonly min_ms?: number;
  readonly p50_ms?: number;
  readonly p95_ms?: number;
  readonly max_ms?: number;
  readonly errors?: number;
  /** Of what is usual: how many of the flows have it, and their share of those that have its parent. */
  readonly flows?: number;
  readonly share?: number;
}

/** What both steps say, each in its own way; null where one says nothing. */
export interface ValueDifference {
  readonly path: string;
  readonly a: unknown;
  readonly b: unknown;
}

export interface ComparedRow {
  readonly kind: "step" | "run" | "waiting";
  readonly depth: number;
  readonly status: Status;
  readonly pace?: "same" | "slower" | "faster";
  readonly event_type?: string | null;
  readonly name?: string | null;
  readonly subject?: string | null;
  readonly a: Side | null;
  readonly b: Side | null;
  readonly delta_ms: number | null;
  readonly delta_percent: number | null;
  /** Where the step stands among the times of its kind. */
  readonly percentile?: number | null;
  readonly differences?: readonly ValueDifference[];
  readonly more_differences?: number;
}

export interface ComparedSteps {
  readonly delta_ms: number | null;
  readonly delta_percent: number | null;
  /** In the order in which they are shown. */
  readonly counts: Readonly<Partial<Record<Status, number>>>;
  /** Places of the rows whose own time differs most. */
  readonly biggest: readonly number[];
  readonly rows: readonly ComparedRow[];
}

export interface Comparison extends ComparedSteps {
  readonly a: FlowSummary;
  readonly b: FlowSummary;
}

/** Flows of one kind, which say what is usual. */
export interface UsualFlows {
  readonly name: string | null;
  readonly source: string | null;
  readonly since: string;
  readonly until: string;
  readonly flows: number;
  /** Whether they are enough to say what is unusual or missing. */
  readonly enough: boolean;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
}

export interface AgainstUsual extends ComparedSteps {
  readonly a: UsualFlows;
  readonly b: FlowSummary;
}

/** Positive where `b` took longer. */
export function compareFlows(a: string, b: string, signal: AbortSignal): Promise<Comparison> {
  return call("flows/compare", { query: { a, b }, signal });
}

/** Positive where the flow took longer than usual. */
export function againstUsual(flowId: string, signal: AbortSignal): Promise<AgainstUsual> {
  return call(`flows/${encodeURIComponent(flowId)}/usual`, { signal });
}

export interface Share {
  readonly flows: number;
  readonly share: number;
}

export interface Difference {
  readonly attribute: string;
  readonly value: string | number | null;
  readonly a: Share;
  readonly b: Share;
  /** Positive where it is more frequent in the first group. */
  readonly difference: number;
  /** Finds flows with this value. */
  readonly filter: Readonly<Record<string, string | number>>;
}

interface Sample {
  readonly sampled: number;
  /** Whether these were all. */
  readonly complete: boolean;
}

export interface Differences {
  readonly a: Sample;
  readonly b: Sample;
  readonly differences: readonly Difference[];
  readonly hidden: readonly { readonly attribute: string; readonly reason: string }[];
}

/** The filters of each group have `a.` or `b.` before their names; without, they hold for both. */
export function flowDifferences(filters: Query, signal: AbortSignal): Promise<Differences> {
  return call("flows/differences", { query: filters, signal });
}
