import type { SpanEvent } from "./event";

/** A flow lasts a day at most, so what lies further off has a wrong clock, also in the root's own process. */
const DAY_NS = 86_400_000_000_000n;

/** The time of a flow's root; `endNs` is undefined while it is open. */
export interface FlowWindow {
  readonly startNs: bigint;
  readonly endNs: bigint | undefined;
  readonly process: string | undefined;
}

/** The first entry without a parent that says when it began; `entries` are in start order. */
export function rootOf(entries: readonly SpanEvent[]): SpanEvent | undefined {
  return entries.find((entry) => (entry.parent_id ?? null) === null && entry.start_ns !== undefined);
}

export function windowOf(root: SpanEvent | undefined): FlowWindow | undefined {
  if (root?.start_ns === undefined) return undefined;
  const startNs = BigInt(root.start_ns);
  const end = root.phase === "end" && root.end_ns !== undefined ? BigInt(root.end_ns) : undefined;
  return { startNs, endNs: end !== undefined && end < startNs ? startNs : end, process: root.process };
}

/**
 * Whether a span below the root lies outside of its flow, so that its clock must have been wrong. What a process of its
 * own does after the root has ended is only its background work, for a day.
 */
export function leavesOut(window: FlowWindow, entry: SpanEvent): boolean {
  const ended = entry.phase === "end" && entry.end_ns !== undefined ? BigInt(entry.end_ns) : undefined;
  const at = entry.start_ns === undefined ? ended : BigInt(entry.start_ns);
  if (at === undefined || (entry.parent_id ?? null) === null) return false;
  if (at < window.startNs) return true;
  if (window.endNs === undefined) return false;
  const last = ended !== undefined && ended > at ? ended : at;
  return last > window.endNs + DAY_NS || (at > window.endNs && entry.process !== window.process);
}

/**
 * When a flow began: with its root. Before that has come, with the first of its spans whose clock agrees with most of
 * them.
 */
export function startedAt(entries: readonly SpanEvent[]): bigint | undefined {
  const window = windowOf(rootOf(entries));
  if (window !== undefined) return window.startNs;
  const starts = entries.flatMap((entry) => (entry.start_ns === undefined ? [] : [BigInt(entry.start_ns)]));
  const middle = starts[Math.floor(starts.length / 2)];
  return middle === undefined ? undefined : starts.find((start) => start >= middle - DAY_NS);
}
