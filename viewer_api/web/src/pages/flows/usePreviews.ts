import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { flowPreviews, MAX_PREVIEWS, type FlowPreview, type FlowSummary } from "../../api/flows";
import { useDelayed } from "../../hooks/useDelayed";

const PAUSE_MS = 120;

/** A flow that ends is asked for once more: then there is an answer. */
const keyOf = (flow: FlowSummary) => ["preview", flow.flow_id, flow.open] as const;

/** First words for the rows in view: asked for together when the scrolling pauses, and once only. */
export function usePreviews(inView: readonly FlowSummary[]): (flow: FlowSummary) => FlowPreview | null {
  const client = useQueryClient();
  const [, setRound] = useState(0);
  const known = (flow: FlowSummary) => client.getQueryData<FlowPreview | null>(keyOf(flow));
  const missing = inView.filter((flow) => known(flow) === undefined).slice(0, MAX_PREVIEWS);
  const wanted = useDelayed(missing.map((flow) => `${flow.flow_id} ${flow.open}`).join(","), PAUSE_MS);
  useEffect(() => {
    const asked = missing.filter((flow) => wanted.includes(`${flow.flow_id} ${flow.open}`));
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
  return (flow) => known(flow) ?? client.getQueryData<FlowPreview | null>(["preview", flow.flow_id, !flow.open]) ?? null;
}
