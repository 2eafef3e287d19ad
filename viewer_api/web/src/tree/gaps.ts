import type { FlowModel } from "../live/liveFlows";
import type { SpanEvent } from "../reducer/event";
import type { Tree } from "../reducer/tree";

/** What a flow's page cannot show, each with how much of it. */
export interface Gap {
  readonly id: string;
  readonly count: number;
  readonly text: string;
  readonly why: string;
}

const REDACTED = /\[redacted\]/g;

const many = (count: number, one: string, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

/** What is known from the spans themselves, whatever the time. */
export function recordedGaps(model: FlowModel, cutSpans: number): readonly Gap[] {
  let redacted = 0;
  let cut = 0;
  for (const entry of model.entries()) {
    redacted += redactions(entry);
    cut += cutOf(entry);
  }
  return kept([
    { id: "cut", count: cutSpans, text: `truncated: ${many(cutSpans, "span")} left out`, why: "The flow had more spans than are stored." },
    { id: "limits", count: cut, text: `truncated: ${many(cut, "value")} cut`, why: "The SDK's limits cut attributes, logs or links of its spans." },
    { id: "redacted", count: redacted, text: `redacted: ${many(redacted, "value")}`, why: "What may be a secret was replaced before anything was stored." },
    { id: "damaged", count: model.damaged, text: `${many(model.damaged, "event")} could not be read`, why: "They are malformed." },
    {
      id: "beginning",
      count: model.truncated ? 1 : 0,
      text: "truncated: its beginning is gone",
      why: "The stream keeps its newest events only.",
    },
  ]);
}

/** What follows from how the spans fit together. */
export function treeGaps(tree: Tree): readonly Gap[] {
  let missing = 0;
  let outside = 0;
  let lost = 0;
  for (const node of tree.nodes.values()) {
    if (node.entry === undefined) missing++;
    if (node.outsideFlow) outside++;
    if (node.state === "lost") lost++;
  }
  return kept([
    { id: "incomplete", count: missing, text: `incomplete: ${many(missing, "parent")} missing`, why: "Spans name a parent that has not arrived." },
    { id: "lost", count: lost, text: `incomplete: ${many(lost, "span")} without an end`, why: "Their process is gone, or the flow ended before they did." },
    { id: "outside", count: outside, text: `outside: ${many(outside, "span")} with a wrong clock`, why: "They are drawn from the start of their parent, with their own duration." },
  ]);
}

const kept = (gaps: readonly Gap[]) => gaps.filter((gap) => gap.count > 0);

/** How many values of a span were redacted. */
export function redactions(entry: SpanEvent): number {
  const parts = [entry.attributes, ...(entry.logs ?? []).map((log) => log.attributes), ...(entry.links ?? [])];
  let found = entry.status_message?.match(REDACTED)?.length ?? 0;
  for (const part of parts) if (part !== undefined) found += JSON.stringify(part).match(REDACTED)?.length ?? 0;
  return found;
}

/** How many attributes, logs and links of a span a limit has cut. */
export function cutOf(entry: SpanEvent): number {
  const cut = entry["cut"];
  if (typeof cut !== "object" || cut === null) return 0;
  return Object.values(cut).reduce((sum: number, each) => sum + (typeof each === "number" ? each : 0), 0);
}
