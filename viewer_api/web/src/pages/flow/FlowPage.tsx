import { useSignedIn } from "../../app/session";
import { onlyThemselves } from "../../api/session";
import { ReasonForm } from "../../components/ReasonForm";
import { useFlow } from "../../hooks/useFlow";
import { useQuestion } from "../../hooks/useQuestion";
import { useWatched } from "../../hooks/useWatched";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Empty, Loading, Notice } from "../../ui/Notice";
import { FlowHead } from "./FlowHead";
import { FlowWorkspace } from "./FlowWorkspace";
import { VIEWS } from "./useFlowView";
import styles from "./FlowPage.module.css";

/** One flow, running or past: `#/flow/<id>?span=<id>`. */
export default function FlowPage() {
  const { route } = useNavigation();
  return route.id === null ? <Notice kind="problem">This address names no flow.</Notice> : <OneFlow key={route.id} flowId={route.id} />;
}

function OneFlow({ flowId }: { readonly flowId: string }) {
  const own = onlyThemselves(useSignedIn());
  const { users } = useWatched();
  const mayFollow = (userId: string | number | null) => own !== null || users?.some((user) => user.userId === String(userId)) === true;
  const { flow, model, version, problem, reasonWanted, giveReason, stopped } = useFlow(flowId, mayFollow);
  const followed = reasonWanted === undefined && stopped === null;
  const question = useQuestion(flowId, model?.open ?? false);
  return (
    <div className={styles["page"]} data-testid="flow-view">
      {problem !== null && flow === undefined ? (
        <Empty title={problem} testId="no-flow">
          <p>It may have been removed after its retention, or its id was not copied whole.</p>
          <Link to={to("flows")}>Go to the flows</Link>
        </Empty>
      ) : (
        problem !== null && <Notice kind="problem">{problem}</Notice>
      )}
      {reasonWanted !== undefined && <ReasonForm problem={reasonWanted.problem} onReason={giveReason} />}
      {stopped !== null && (
        <Notice kind="problem">This flow is no longer followed ({stopped}). What stands here is the last that was known.</Notice>
      )}
      {/* Without the question the tree would stand a line higher, and jump while a pointer is on it. */}
      {model === null || flow === undefined || question === undefined ? (
        problem === null && <Loading label="The flow is loading" />
      ) : (
        <FlowWorkspace
          flow={flow}
          model={model}
          version={version}
          followed={followed}
          views={VIEWS}
          head={(shown) => <FlowHead flow={flow} model={model} version={version} shown={shown} followed={followed} question={question} />}
        />
      )}
    </div>
  );
}
