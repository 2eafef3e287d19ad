import { CirclePlay, Copy, ExternalLink, GitCompare, Share2 } from "lucide-react";
import { lazy, Suspense, useMemo, useState } from "react";
import { FLOW_FORMATS, flowExport } from "../../api/export";
import type { Flow } from "../../api/flows";
import { mayAnnotate, mayShare } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { Ago } from "../../components/Ago";
import { ExportMenu } from "../../components/ExportMenu";
import { FlowVerdict } from "../../components/FlowVerdict";
import { StateSign } from "../../components/StateSign";
import { StepCount } from "../../components/StepCount";
import { durationNs } from "../../format";
import type { FlowTree } from "../../hooks/useFlowTree";
import { useName } from "../../hooks/useName";
import type { FlowModel } from "../../live/liveFlows";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { label } from "../../tree/appearance";
import { stepCount } from "../../tree/sums";
import { addressOf, copyText, curlOf } from "../../components/clipboard";
import { IconButton } from "../../ui/Button";
import { Menu } from "../../ui/Overlay";
import { flowMarkdown } from "../../tree/markdown";
import { Gaps } from "./Gaps";
import { NotesMenu } from "./NotesMenu";
import styles from "./FlowHead.module.css";

const ShareDialog = lazy(() => import("./ShareDialog"));

interface Props {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
  readonly shown: FlowTree;
  readonly followed: boolean;
  /** What was asked, where it was recorded and may be seen. */
  readonly question: string | null;
}

/** Whose flow it is, what became of it, and how long it took. */
export function FlowHead({ flow, model, version, shown, followed, question }: Props) {
  const { tree, timeline, look, verdict } = shown;
  const { go } = useNavigation();
  const session = useSignedIn();
  const [sharing, setSharing] = useState(false);
  const root = tree.roots[0];
  const steps = useMemo(() => stepCount(tree), [tree]);
  return (
    <header className={styles["head"]}>
      <div className={styles["title"]}>
        <StateSign look={look} />
        <h1 className="truncate">{root === undefined ? model.flowId : label(root)}</h1>
        <FlowVerdict look={look} verdict={verdict} />
        {mayAnnotate(session) && <NotesMenu flowId={model.flowId} admin={session.role === "admin"} />}
        <IconButton icon={CirclePlay} label="Play it again" onPress={() => go(to("playback", null, { flow_id: model.flowId }))} testId="play-flow" />
        <IconButton icon={GitCompare} label="Compare it with the usual one of its kind" onPress={() => go(to("compare", model.flowId))} testId="against-usual" />
        {flow.trace_url !== undefined && (
          <a href={flow.trace_url} target="_blank" rel="noreferrer" data-testid="trace-link">
            Trace <ExternalLink size={14} aria-label="opens in another tab" />
          </a>
        )}
        {mayShare(session) && <IconButton icon={Share2} label="Share this flow" onPress={() => setSharing(true)} testId="share-flow" />}
        <Suspense fallback={null}>{sharing && <ShareDialog flowId={model.flowId} onClose={() => setSharing(false)} />}</Suspense>
        <ExportMenu label="Save this flow as a file" formats={FLOW_FORMATS} urlOf={(format) => flowExport(model.flowId, format)} />
        <Menu
          label="Copy"
          entries={[
            { id: "link", text: "Link to this flow", onAction: () => copyText("Link", addressOf(to("flow", model.flowId))) },
            { id: "id", text: "Flow id", hint: "the trace id", onAction: () => copyText("Flow id", model.flowId) },
            { id: "json", text: "JSON", onAction: () => copyText("JSON", JSON.stringify(flow, null, 2)) },
            { id: "curl", text: "cURL", onAction: () => copyText("cURL", curlOf(model.flowId)) },
            { id: "markdown", text: "Markdown", onAction: () => copyText("Markdown", flowMarkdown(tree, look, timeline, addressOf(to("flow", model.flowId)))) },
          ]}
        >
          <IconButton icon={Copy} label="Copy" />
        </Menu>
      </div>
      {question !== null && (
        <p className={`${styles["question"]} truncate`} title={question} data-testid="flow-question">
          {question}
        </p>
      )}
      <dl className={styles["facts"]}>
        <div>
          <dt>User</dt>
          <dd>{flow.user_id === null ? "no user" : <User userId={String(flow.user_id)} />}</dd>
        </div>
        {flow.conversation_id != null && (
          <div>
            <dt>Conversation</dt>
            <dd>
              <Link to={to("conversations", String(flow.conversation_id))}>{String(flow.conversation_id)}</Link>
            </dd>
          </div>
        )}
        <div>
          <dt>Began</dt>
          <dd>
            <Ago iso={new Date(Number(timeline.startNs / 1_000_000n)).toISOString()} />
          </dd>
        </div>
        <div>
          <dt>{model.open ? (followed ? "Running for" : "Last known after") : "Took"}</dt>
          <dd data-testid="flow-duration">{durationNs(timeline.endNs - timeline.startNs)}</dd>
        </div>
        <StepCount steps={steps} spans={model.size} />
        <div>
          <dt>Flow</dt>
          <dd>
            <code>{model.flowId}</code>
          </dd>
        </div>
      </dl>
      <Gaps model={model} version={version} tree={tree} cutSpans={flow.cut_spans ?? 0} contents={flow.contents} />
    </header>
  );
}

function User({ userId }: { readonly userId: string }) {
  return <Link to={to("users", userId)}>{useName(userId, undefined)}</Link>;
}
