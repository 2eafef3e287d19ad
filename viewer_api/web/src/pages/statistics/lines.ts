import type { Durations } from "../../api/statistics";
import type { Line } from "../../components/TimeChart";
import { duration } from "../../format";
import type { Slot } from "./range";

/** Percentiles as lines that differ in more than their colour. */
export function percentileLines(slots: readonly Slot<Durations>[]): readonly Line[] {
  const values = (of: (point: Durations) => number | null) => slots.map(({ point }) => (point === undefined ? null : of(point)));
  return [
    { label: "p50", colour: "--kind-gate", values: values(({ p50_ms }) => p50_ms) },
    { label: "p95", colour: "--accent", values: values(({ p95_ms }) => p95_ms) },
    { label: "p99", colour: "--kind-agent", values: values(({ p99_ms }) => p99_ms), dash: [5, 4] },
  ];
}

/** A duration on an axis: round as they are there, `10 s` says as much as `10.00 s`. */
export const axisDuration = (ms: number): string => (ms === 0 ? "0" : duration(ms).replace(/\.0+(?= )|(?<=\.[0-9]*[1-9])0+(?= )/, ""));
