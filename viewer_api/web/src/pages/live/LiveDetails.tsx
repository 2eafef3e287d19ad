import { useFollowed, useLiveStore } from "../../hooks/useLive";
import { useContents } from "../../hooks/useContents";
import { useNow } from "../../hooks/useNow";
import { SpanDetails } from "../../components/SpanDetails";
import { formatRoute, to } from "../../navigation/route";
import { mayHaveContents } from "../../tree/contents";
import styles from "./LivePage.module.css";

/** The span whose details are shown beside the wall. */
export interface Chosen {
  readonly userId: string;
  readonly flowId: string;
  readonly nodeId: string;
}

const TICK_MS = 500;

/** Details of a chosen span. They stay in their place whatever comes into the panels. */
export function LiveDetails({ chosen, onClose }: { readonly chosen: Chosen; readonly onClose: () => void }) {
  const live = useFollowed(chosen.userId);
  const now = useNow(useLiveStore().nowMs, TICK_MS);
  const nowNs = BigInt(Math.round(now)) * 1_000_000n;
  const node = live.flows.get(chosen.flowId)?.tree(nowNs).nodes.get(chosen.nodeId);
  const contents = useContents(chosen.flowId, mayHaveContents(node?.entry?.event_type));
  if (node === undefined) return null;
  const link = new URL(formatRoute(to("flow", chosen.flowId, { span: chosen.nodeId })), location.href).href;
  return (
    <aside className={styles["details"]}>
      <SpanDetails flowId={chosen.flowId} node={node} nowNs={nowNs} link={link} contents={contents} onClose={onClose} />
    </aside>
  );
}
