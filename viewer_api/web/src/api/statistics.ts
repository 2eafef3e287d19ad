import type { Query } from "../navigation/route";
import { call } from "./http";

/** So many flows, and the search that lists exactly these; there may be none that can say it. */
export interface Counted {
  readonly count: number;
  readonly link: string | null;
  /** Some may have been counted among others. */
  readonly at_least?: boolean;
}

export interface Durations {
  /** Of how many the duration is known. */
  readonly timed: number;
  readonly p50_ms: number | null;
  readonly p90_ms: number | null;
  readonly p95_ms: number | null;
  readonly p99_ms: number | null;
}

interface Used {
  readonly tokens_input: number;
  readonly tokens_output: number;
  readonly cost: number | null;
}

export interface FlowSums extends Durations, Used {
  readonly flows: Counted;
  readonly flows_denied: Counted;
  readonly flows_failed: Counted;
}

export interface StepSums extends Durations, Used {
  readonly steps: number;
  readonly errors: number;
  readonly denied: number;
  readonly total_ms: number;
  /** In which no step below ran. */
  readonly self_ms: number;
  readonly flows: Counted | null;
  readonly flows_denied: Counted | null;
  readonly flows_failed: Counted | null;
  /** By model: how long the first tokens of its answers took, where any call says so. */
  readonly first_token?: (Omit<Durations, "timed"> & { readonly count: number }) | null;
}

/** One interval of a series; intervals in which nothing happened are left out. */
export type Point<Sums> = Sums & { readonly start: string };

export type Group<Sums> = Sums & {
  readonly value?: string | number | null;
  /** What is beyond the most frequent names. */
  readonly other?: boolean;
  readonly email?: string | null;
  readonly full_name?: string | null;
  readonly series?: readonly Point<Sums>[];
};

interface Head {
  readonly since: string;
  readonly until: string;
  /** Fewer flows were counted than asked for: `since` is later. */
  readonly shortened: boolean;
  /** Minutes whose flows are still to be counted. */
  readonly waiting: number;
}

export interface Statistics<Sums> extends Head {
  readonly groups: readonly Group<Sums>[];
  readonly more: boolean;
}

export interface Gate extends Durations {
  readonly gate: string;
  readonly reached: Counted;
  readonly passed: Counted;
  readonly ended: Counted;
  readonly denied: Counted;
  readonly failed: Counted;
  readonly abandoned: Counted;
}

export interface Funnel extends Head {
  readonly flows: Counted;
  readonly gates: readonly Gate[];
}

export type Interval = "minute" | "hour" | "day";

export interface Grouping {
  readonly group_by?: string;
  readonly sort?: string;
  readonly interval?: Interval | undefined;
  readonly limit?: number;
}

export function flowStatistics(filters: Query, grouping: Grouping, signal: AbortSignal): Promise<Statistics<FlowSums>> {
  return call("statistics/flows", { query: { ...filters, ...grouping }, signal });
}

export function stepStatistics(filters: Query, grouping: Grouping, signal: AbortSignal): Promise<Statistics<StepSums>> {
  return call("statistics/steps", { query: { ...filters, ...grouping }, signal });
}

export function funnel(filters: Query, signal: AbortSignal): Promise<Funnel> {
  return call("statistics/funnel", { query: filters, signal });
}
