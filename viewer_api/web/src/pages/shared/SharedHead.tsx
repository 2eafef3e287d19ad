import { useMemo } from "react";
import type { Flow } from "../../api/flows";
import { FlowVerdict } from "../../components/FlowVerdict";
import { StateSign } from "../../components/StateSign";
import { StepCount } from "../../components/StepCount";
import { dateTime, durationNs } from "../../format";
import type { FlowTree } from "../../hooks/useFlowTree";
import type { FlowModel } from "../../live/liveFlows";
import { label } from "../../tree/appearance";
import { stepCount } from "../../tree/sums";
import { Gaps } from "../flow/Gaps";
import headStyles from "../flow/FlowHead.module.css";
import styles from "./SharedPage.module.css";

interface Props {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
  readonly shown: FlowTree;
  readonly expiresAt: string;
}

/** What became of the flow, how long it took, and how long it is shown. */
export function SharedHead({ flow, model, version, shown, expiresAt }: Props) {
  const { tree, timeline, look, verdict } = shown;
  const root = tree.roots[0];
  const steps = useMemo(() => stepCount(tree), [tree]);
  return (
    <header className={headStyles["head"]}>
      <div className={headStyles["title"]}>
        <StateSign look={look} />
        <h1 className="truncate">{root === undefined ? model.flowId : label(root)}</h1>
        <FlowVerdict look={look} verdict={verdict} />
        <span className={styles["brand"]}>Spanflow</span>
      </div>
      <dl className={headStyles["facts"]}>
        <div>
          <dt>Began</dt>
          <dd>{dateTime(new Date(Number(timeline.startNs / 1_000_000n)).toISOString())}</dd>
        </div>
        <div>
          <dt>{model.open ? "Running for" : "Took"}</dt>
          <dd data-testid="flow-duration">{durationNs(timeline.endNs - timeline.startNs)}</dd>
        </div>
        <StepCount steps={steps} spans={model.size} />
        <div>
          <dt>Flow</dt>
          <dd>
            <code>{model.flowId}</code>
          </dd>
        </div>
        <div>
          <dt>Shared until</dt>
          <dd data-testid="shared-until">{dateTime(expiresAt)}</dd>
        </div>
      </dl>
      <Gaps model={model} version={version} tree={tree} cutSpans={flow.cut_spans ?? 0} contents={flow.contents} />
    </header>
  );
}
