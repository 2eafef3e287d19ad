import { useEffect, useMemo, useState } from "react";
import { flow as readFlow, type Flow } from "../api/flows";
import { useLiveSnapshot, useLiveStore } from "../hooks/useLive";
import { FlowModel } from "../live/liveFlows";
import { flowTopic } from "../live/topic";
import { FlowCard } from "./FlowCard";
import { LookForm } from "./LookForm";

interface Props {
  readonly flowId: string;
  /** Whether its user is watched, or looks at themselves: then a flow that still runs goes on live without a reason. */
  readonly mayFollow: boolean;
  readonly onClose: () => void;
}

/** What the viewer answers to who must say why they look. */
const WANTS_REASON: ReadonlySet<string> = new Set(["reason_required", "reason_too_short"]);

/** One flow out of the archive; while it runs it goes on growing. */
export function FlowView({ flowId, mayFollow, onClose }: Props) {
  const store = useLiveStore();
  const { problem: refused } = useLiveSnapshot();
  const [flow, setFlow] = useState<Flow | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [reason, setReason] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    readFlow(flowId, abort.signal).then(setFlow, (error: unknown) => {
      if (!abort.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
    });
    return () => abort.abort();
  }, [flowId]);
  const [past, setPast] = useState<FlowModel | null>(null);
  const topic = useMemo(() => flowTopic(flowId, reason ?? undefined), [flowId, reason]);
  const live = flow !== null && flow.open && (mayFollow || reason !== null);
  useEffect(() => {
    if (flow === null) return undefined;
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
  const followed = live ? store.flowsOf(topic) : undefined;
  const model = followed === undefined ? past : (followed.flows.get(flowId) ?? past);
  const ended = followed?.ended;
  const wantsReason = flow?.open === true && (ended === undefined ? !live : WANTS_REASON.has(ended));
  return (
    <section className="card" data-testid="flow-view" aria-label="The chosen flow">
      <div className="panel-head">
        <h2>Flow</h2>
        <code className="quiet">{flowId}</code>
        <button type="button" onClick={onClose} aria-label="Close the flow">
          ✕
        </button>
      </div>
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      {wantsReason && <LookForm problem={ended === undefined || reason === null ? null : refused} onReason={setReason} />}
      {ended !== undefined && ended !== "complete" && !WANTS_REASON.has(ended) && (
        <p role="alert" className="alert">
          Not followed any more ({ended}).
        </p>
      )}
      {model !== null && <FlowCard model={model} version={followed?.version ?? 0} unfolded />}
    </section>
  );
}
