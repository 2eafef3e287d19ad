import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { flowPreviews, MAX_PREVIEWS, type FlowPreview, type FlowSummary } from "../../api/flows";
import { useDelayed } from "../../hooks/useDelayed";

const PAUSE_MS = 120;
/** What was said is stored a moment after a flow has ended: until then it is asked for again. */
const AGAIN_AFTER_MS = 4_000;
const STORED_WITHIN_MS = 60_000;

/** A flow that ends is asked for once more: then there is an answer. */
const keyOf = (flow: FlowSummary) => ["preview", flow.flow_id, flow.open] as const;

/** First words for the rows in view: asked for together when the scrolling pauses. */
export function usePreviews(inView: readonly FlowSummary[]): (flow: FlowSummary) => FlowPreview | null {
  const client = useQueryClient();
  const [, setRound] = useState(0);
  const missing = inView.filter((flow) => isWanted(client, flow)).slice(0, MAX_PREVIEWS);
  const wanted = useDelayed(missing.map((flow) => nameOf(client, flow)).join(","), PAUSE_MS);
  useEffect(() => {
    const names = new Set(wanted.split(","));
    const asked = missing.filter((flow) => names.has(nameOf(client, flow)));
    if (asked.length === 0) return;
    const ids = asked.map((flow) => flow.flow_id);
    client
      .fetchQuery({ queryKey: ["previews", wanted], queryFn: ({ signal }) => flowPreviews(ids, signal), gcTime: 0 })
      .then(
        (found) => {
          const byId = new Map(found.map((each) => [each.flow_id, each]));
          for (const flow of asked) client.setQueryData(keyOf(flow), byId.get(flow.flow_id) ?? null);
          setRound((before) => before + 1);
        },
        () => undefined, // the names of the requests will do
      );
  }, [client, wanted]);
  const known = (flow: FlowSummary) => client.getQueryData<FlowPreview | null>(keyOf(flow)) ?? null;
  return (flow) => {
    const now = known(flow);
    return now?.question == null ? (known({ ...flow, open: !flow.open }) ?? now) : now;
  };
}

/** Names one attempt: another one has another name. */
function nameOf(client: QueryClient, flow: FlowSummary): string {
  return `${flow.flow_id} ${flow.open} ${client.getQueryState(keyOf(flow))?.dataUpdatedAt ?? 0}`;
}

function isWanted(client: QueryClient, flow: FlowSummary): boolean {
  const state = client.getQueryState<FlowPreview | null>(keyOf(flow));
  if (state?.data === undefined) return true;
  const lacking = state.data?.question == null || (!flow.open && state.data.answer == null);
  const fresh = flow.open || Date.now() - Date.parse(flow.completed_at ?? "") < STORED_WITHIN_MS;
  return lacking && fresh && Date.now() - state.dataUpdatedAt > AGAIN_AFTER_MS;
}
