import type { Activity } from "../../api/conversations";
import type { FlowSummary } from "../../api/flows";

/** One turn of a conversation: what was said in it, and its flow as far as that is known. */
export interface Turn {
  readonly flowId: string | null;
  readonly flow: FlowSummary | null;
  readonly activities: readonly Activity[];
}

/** Turns in the order in which they began. A flow of which nothing was recorded is a turn as well: it was refused, say. */
export function turnsOf(flows: readonly FlowSummary[], activities: readonly Activity[]): readonly Turn[] {
  const byFlow = new Map<string | null, Activity[]>();
  for (const activity of activities) {
    const those = byFlow.get(activity.flow_id);
    if (those === undefined) byFlow.set(activity.flow_id, [activity]);
    else those.push(activity);
  }
  const turns: Turn[] = flows.map((flow) => ({ flowId: flow.flow_id, flow, activities: byFlow.get(flow.flow_id) ?? [] }));
  const known = new Set<string | null>(flows.map((flow) => flow.flow_id));
  for (const [flowId, said] of byFlow) if (!known.has(flowId)) turns.push({ flowId, flow: null, activities: said });
  return turns.sort((one, other) => begin(one).localeCompare(begin(other)));
}

function begin({ flow, activities }: Turn): string {
  return flow?.started_at ?? activities[0]?.created_at ?? "";
}

/** A field of an activity as text. */
export function said(activity: Activity, field: string): string | null {
  const value = activity.activity_data?.[field];
  if (value === null || value === undefined || value === "") return null;
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}
