import { useMemo, type ReactNode } from "react";
import type { Flow } from "../../api/flows";
import { FlowVerdict } from "../../components/FlowVerdict";
import { StateSign } from "../../components/StateSign";
import { durationNs } from "../../format";
import type { FlowTree } from "../../hooks/useFlowTree";
import type { FlowModel } from "../../live/liveFlows";
import { label } from "../../tree/appearance";
import { stepCount } from "../../tree/sums";
import { Gaps } from "./Gaps";
import styles from "./HeadLayout.module.css";

export interface FlowHeadProps {
  readonly flow: Flow;
  readonly model: FlowModel;
  readonly version: number;
  readonly shown: FlowTree;
}

interface Props extends FlowHeadProps {
  /** Beside the name. */
  readonly actions: ReactNode;
  readonly question?: string | null;
  /** Facts before those that every page of a flow shows, and after them. */
  readonly before?: ReactNode;
  readonly after?: ReactNode;
  readonly began: (iso: string) => ReactNode;
  /** What the time of an open flow is called. */
  readonly running?: string;
}

/** What became of a flow, when it began and how long it took. */
export function HeadLayout({ flow, model, version, shown, actions, question = null, before, after, began, running = "Running for" }: Props) {
  const { tree, timeline, look, verdict } = shown;
  const root = tree.roots[0];
  const steps = useMemo(() => stepCount(tree), [tree]);
  const usual = model.usualNs();
  return (
    <header className={styles["head"]}>
      <div className={styles["title"]}>
        <StateSign look={look} />
        <h1 className="truncate">{root === undefined ? model.flowId : label(root)}</h1>
        <FlowVerdict look={look} verdict={verdict} />
        <span className={styles["actions"]}>{actions}</span>
      </div>
      {question !== null && (
        <p className={`${styles["question"]} truncate`} title={question} data-testid="flow-question">
          {question}
        </p>
      )}
      <dl className={styles["facts"]}>
        {before}
        <Fact name="Began">{began(new Date(Number(timeline.startNs / 1_000_000n)).toISOString())}</Fact>
        <Fact name={model.open ? running : "Took"} testId="flow-duration">
          {durationNs(timeline.endNs - timeline.startNs)}
        </Fact>
        {model.open && usual !== undefined && (
          <Fact name="Usually within" testId="flow-usual">
            {durationNs(BigInt(Math.round(usual)))} <span className="quiet">(p95)</span>
          </Fact>
        )}
        <Fact name={steps === 0 ? "Spans" : "Steps"} testId="flow-steps">
          {(steps === 0 ? model.size : steps).toLocaleString()} {steps > 0 && <span className="quiet">in {model.size.toLocaleString()} spans</span>}
        </Fact>
        <Fact name="Flow">
          <code>{model.flowId}</code>
        </Fact>
        {after}
      </dl>
      <Gaps model={model} version={version} tree={tree} cutSpans={flow.cut_spans ?? 0} contents={flow.contents} />
    </header>
  );
}

export function Fact({ name, testId, children }: { readonly name: string; readonly testId?: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-testid={testId}>{children}</dd>
    </div>
  );
}
