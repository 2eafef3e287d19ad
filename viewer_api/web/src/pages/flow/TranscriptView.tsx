import { useQuery } from "@tanstack/react-query";
import { activitiesOf, type Contents } from "../../api/flows";
import { Transcript } from "../../components/Transcript";
import { missingContents } from "../../tree/contents";
import { Empty, Loading, Notice } from "../../ui/Notice";
import styles from "./TranscriptView.module.css";

interface Props {
  readonly flowId: string;
  readonly open: boolean;
  readonly contents: Contents | null | undefined;
  readonly onSelect: (nodeId: string) => void;
}

const WHILE_RUNNING_MS = 3000;

/** What was said in the flow. */
export default function TranscriptView({ flowId, open, contents, onSelect }: Props) {
  const { data, error } = useQuery({
    queryKey: ["activities", flowId, open],
    queryFn: ({ signal }) => activitiesOf(flowId, signal),
    refetchInterval: open ? WHILE_RUNNING_MS : false,
  });
  const missing = missingContents(contents);
  if (error !== null) return <Notice kind="problem">{error.message}</Notice>;
  if (data === undefined) return <Loading label="The transcript is loading" />;
  if (data.length === 0) {
    return (
      <Empty title="Nothing was recorded of what was said" testId="no-transcript">
        <p>A gateway records messages and tool calls with record_user_message, record_tool_call and record_assistant_response (not while ACTIVITY_TRACKING_ENABLED is false).</p>
        {missing !== undefined && <p>{missing.why}</p>}
      </Empty>
    );
  }
  return (
    <div className={styles["scroller"]} tabIndex={0} role="region" aria-label="Transcript">
      <Transcript activities={data} onSelect={onSelect} />
    </div>
  );
}
