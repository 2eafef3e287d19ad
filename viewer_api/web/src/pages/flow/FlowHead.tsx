import { CirclePlay, Copy, ExternalLink, GitCompare, Share2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { FLOW_FORMATS, flowExport } from "../../api/export";
import { mayAnnotate, mayShare } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { Ago } from "../../components/Ago";
import { ExportMenu } from "../../components/ExportMenu";
import { useName } from "../../hooks/useName";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { addressOf, copyText, curlOf } from "../../components/clipboard";
import { IconButton } from "../../ui/Button";
import { Menu } from "../../ui/Overlay";
import { flowMarkdown } from "../../tree/markdown";
import { Fact, HeadLayout, type FlowHeadProps } from "./HeadLayout";
import { NotesMenu } from "./NotesMenu";

const ShareDialog = lazy(() => import("./ShareDialog"));

interface Props extends FlowHeadProps {
  readonly followed: boolean;
  /** What was asked, where it was recorded and may be seen. */
  readonly question: string | null;
}

/** The head of a flow's page: what can be done with it, and whose it is. */
export function FlowHead({ followed, question, ...head }: Props) {
  const { flow, model, shown } = head;
  const { go } = useNavigation();
  const session = useSignedIn();
  const [sharing, setSharing] = useState(false);
  return (
    <HeadLayout
      {...head}
      question={question}
      running={followed ? "Running for" : "Last known after"}
      began={(iso) => <Ago iso={iso} />}
      actions={
        <>
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
          <ExportMenu label="Export this flow" formats={FLOW_FORMATS} urlOf={(format) => flowExport(model.flowId, format)} />
          <Menu
            label="Copy"
            entries={[
              { id: "link", text: "Link to this flow", onAction: () => copyText("Link", addressOf(to("flow", model.flowId))) },
              { id: "id", text: "Flow id", hint: "the trace id", onAction: () => copyText("Flow id", model.flowId) },
              { id: "json", text: "JSON", onAction: () => copyText("JSON", JSON.stringify(flow, null, 2)) },
              { id: "curl", text: "cURL", onAction: () => copyText("cURL", curlOf(model.flowId)) },
              { id: "markdown", text: "Markdown", onAction: () => copyText("Markdown", flowMarkdown(shown.tree, shown.look, shown.timeline, addressOf(to("flow", model.flowId)))) },
            ]}
          >
            <IconButton icon={Copy} label="Copy" />
          </Menu>
        </>
      }
      before={
        <>
          <Fact name="User">{flow.user_id === null ? "no user" : <User userId={String(flow.user_id)} />}</Fact>
          {flow.conversation_id != null && (
            <Fact name="Conversation">
              <Link to={to("conversations", String(flow.conversation_id))}>{String(flow.conversation_id)}</Link>
            </Fact>
          )}
        </>
      }
    />
  );
}

function User({ userId }: { readonly userId: string }) {
  return <Link to={to("users", userId)}>{useName(userId, undefined)}</Link>;
}
