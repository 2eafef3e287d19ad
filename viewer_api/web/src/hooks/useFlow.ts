import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { flow as readFlow, type Flow } from "../api/flows";
import { FlowModel } from "../live/liveFlows";
import { flowTopic } from "../live/topic";
import { useLiveSnapshot, useLiveStore, useTopic } from "./useLive";

/** What the viewer answers to who must say why they look. */
const WANTS_REASON: ReadonlySet<string> = new Set(["reason_required", "reason_too_short"]);

export interface FlowState {
  readonly flow: Flow | undefined;
  readonly model: FlowModel | null;
  /** Changes when the model has changed. */
  readonly version: number;
  readonly problem: string | null;
  /** Why the reason that was given will not do; undefined when none is wanted. */
  readonly reasonWanted: { readonly problem: string | null } | undefined;
  readonly giveReason: (reason: string) => void;
  /** Why it is not followed any more, though it was not complete; null while it is, or when it is over. */
  readonly stopped: string | null;
}

/**
 * One flow as the viewer has it; while it runs it goes on growing. `mayFollow`: whether a user is watched, or
 * looks at themselves, so that no reason has to be given.
 */
export function useFlow(flowId: string, mayFollow: (userId: string | number | null) => boolean): FlowState {
  const store = useLiveStore();
  const { problem: refused } = useLiveSnapshot();
  const [reason, setReason] = useState<string | null>(null);
  const { data: flow, error, refetch } = useQuery({
    queryKey: ["flow", flowId],
    queryFn: ({ signal }) => readFlow(flowId, signal),
    staleTime: Infinity,
  });
  const [past, setPast] = useState<FlowModel | null>(null);
  const topic = useMemo(() => flowTopic(flowId, reason ?? undefined), [flowId, reason]);
  const live = flow !== undefined && flow.open && (mayFollow(flow.user_id) || reason !== null);
  useEffect(() => {
    if (flow === undefined) return undefined;
    const entries = flow.flow_data.events ?? [];
    if (live) {
      const stop = store.follow(topic);
      store.addEntries(topic, flowId, entries, true);
      return stop;
    }
    const model = new FlowModel(flowId);
    model.addAll(entries);
    model.open = flow.open;
    setPast(model);
    return undefined;
  }, [flow, flowId, live, store, topic]);
  const flows = useTopic(topic);
  const followed = live ? flows : undefined;
  const ended = followed?.ended;
  useEffect(() => {
    // Its end may not have come any more before the following ended: what the viewer knows now is the truth.
    if (ended !== undefined && !WANTS_REASON.has(ended)) void refetch();
  }, [ended, refetch]);
  const wasLive = useRef(false);
  useEffect(() => {
    // The watch ended: what came live stays, with what the viewer knows beyond it.
    if (wasLive.current && !live) void refetch();
    wasLive.current = live;
  }, [live, refetch]);
  const wanted = flow?.open === true && (ended === undefined ? !live : WANTS_REASON.has(ended));
  const model = followed === undefined ? past : (followed.flows.get(flowId) ?? past);
  return {
    flow,
    model,
    version: model?.version ?? 0,
    problem: error?.message ?? null,
    reasonWanted: wanted ? { problem: ended === undefined || reason === null ? null : refused } : undefined,
    giveReason: setReason,
    stopped: ended === undefined || ended === "complete" || WANTS_REASON.has(ended) ? null : ended,
  };
}
