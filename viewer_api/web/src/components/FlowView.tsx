import { useEffect, useState } from "react";
import { flow as readFlow, type Flow } from "../api/flows";
import { useLiveSnapshot, useLiveStore } from "../hooks/useLive";
import { FlowModel } from "../live/liveFlows";
import { FlowCard } from "./FlowCard";

interface Props {
  readonly flowId: string;
  /** Whether its user is watched, or looks at themselves: then a flow that still runs goes on live. */
  readonly mayFollow: boolean;
  readonly onClose: () => void;
}

/** One flow out of the archive; while it runs it goes on growing. */
export function FlowView({ flowId, mayFollow, onClose }: Props) {
  const store = useLiveStore();
  useLiveSnapshot();
  const [flow, setFlow] = useState<Flow | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    readFlow(flowId, abort.signal).then(setFlow, (error: unknown) => {
      if (!abort.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
    });
    return () => abort.abort();
  }, [flowId]);
  const [past, setPast] = useState<FlowModel | null>(null);
  const live = flow !== null && flow.open && mayFollow && flow.user_id !== null;
  useEffect(() => {
    if (flow === null) return undefined;
    const entries = flow.flow_data.events ?? [];
    if (live) {
      const stop = store.follow(String(flow.user_id));
      store.addEntries(String(flow.user_id), flowId, entries, true);
      return stop;
    }
    const model = new FlowModel(flowId);
    model.addAll(entries);
    model.open = false;
    setPast(model);
    return undefined;
  }, [flow, flowId, live, store]);
  const followed = live ? store.flowsOf(String(flow.user_id)) : undefined;
  const model = followed === undefined ? past : (followed.flows.get(flowId) ?? null);
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
      {flow?.open === true && !live && <p className="quiet">Still running when it was read; watch its user to follow it.</p>}
      {model !== null && <FlowCard model={model} version={followed?.version ?? 0} unfolded />}
    </section>
  );
}
