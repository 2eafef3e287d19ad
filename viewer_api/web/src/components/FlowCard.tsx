import { ChevronDown, ChevronRight } from "lucide-react";
import { memo, useMemo, useState, type CSSProperties } from "react";
import { clockTime, durationNs } from "../format";
import { useFlowTree } from "../hooks/useFlowTree";
import type { FlowModel } from "../live/liveFlows";
import type { Tree } from "../reducer/tree";
import { label } from "../tree/appearance";
import { UNFOCUSED } from "../tree/rows";
import { withRoom } from "../tree/timeline";
import { unusualSteps } from "../tree/unusual";
import { FlowVerdict } from "./FlowVerdict";
import { StateSign } from "./StateSign";
import { SpanTree } from "./SpanTree";
import styles from "./FlowCard.module.css";

interface Props {
  readonly model: FlowModel;
  /** Changes when the model has changed. */
  readonly version: number;
  /** Whether news of it can come; otherwise its clocks stand still. */
  readonly followed: boolean;
  /** The moment that is shown; null for the present one. */
  readonly atNs?: bigint | null;
  /** Whether the tree is shown until a person decides for this flow. */
  readonly unfolded: boolean;
  readonly selected: string | null;
  /** The same function every time: otherwise every flow of a panel is drawn when one has changed. */
  readonly onSelect: (flowId: string, nodeId: string | null) => void;
}

/** How long a flow runs already, against how long its like usually take at most. */
function UsualTime({ elapsedNs, usualNs }: { readonly elapsedNs: bigint; readonly usualNs: number | undefined }) {
  if (usualNs === undefined || usualNs <= 0) return null;
  const share = Number(elapsedNs) / usualNs;
  const usual = durationNs(BigInt(Math.round(usualNs)));
  return (
    <div className={styles["usual"]} data-testid="usual" data-over={share > 1}>
      <span className={styles["track"]} aria-hidden="true">
        <span className={styles["spent"]} style={{ width: `${Math.min(share, 1) * 100}%` }} />
      </span>
      <span>{share > 1 ? `beyond the usual ${usual} (p95)` : `usually within ${usual} (p95)`}</span>
    </div>
  );
}

/** So many spans are looked at for what was asked: it stands in one of the first. */
const ASKED_WITHIN = 40;

/** What was asked, as far as a step of the model says. */
function questionOf(tree: Tree): string | null {
  let looked = 0;
  for (const { entry } of tree.nodes.values()) {
    const prompt = entry?.attributes?.["flow.data.prompt"];
    if (typeof prompt === "string" && prompt.trim() !== "") return prompt;
    if (++looked >= ASKED_WITHIN) break;
  }
  return null;
}

/** One flow in a panel: a line that says how it is, and its tree. */
export const FlowCard = memo(function FlowCard({ model, version, followed, atNs = null, unfolded, selected, onSelect }: Props) {
  const [chosen, choose] = useState<boolean | null>(null);
  const [focus, setFocus] = useState(UNFOCUSED);
  const shown = useFlowTree(model, version, followed, atNs);
  const unusual = useMemo(() => (shown === undefined ? undefined : unusualSteps(shown.tree, model.usualP95Ns)), [shown, model]);
  if (shown === undefined || unusual === undefined) return null;
  const { tree, timeline, nowNs, look, rootLook, verdict } = shown;
  const root = tree.roots[0];
  const expanded = chosen ?? unfolded;
  const question = questionOf(tree);
  const title = root === undefined ? model.flowId : label(root);
  const Icon = expanded ? ChevronDown : ChevronRight;
  return (
    <article className={styles["flow"]} data-testid="flow" data-flow-id={model.flowId} data-open={model.open} data-look={look.look}>
      <h3>
        <button type="button" aria-expanded={expanded} onClick={() => choose(!expanded)} className={styles["head"]}>
          <Icon size={14} aria-hidden="true" />
          <StateSign look={look} />
          <span className={`${styles["name"]} truncate`}>{title}</span>
          <FlowVerdict look={look} verdict={verdict} />
          <span className={styles["facts"]}>
            {clockTime(timeline.startNs)} · <span data-testid="flow-duration">{durationNs(timeline.endNs - timeline.startNs)}</span>
            {model.open && !followed && " · last known"}
          </span>
        </button>
      </h3>
      {question !== null && (
        <p className={`${styles["question"]} truncate`} title={question}>
          {question}
        </p>
      )}
      {model.open && verdict.outcome === null && <UsualTime elapsedNs={timeline.endNs - timeline.startNs} usualNs={model.usualNs()} />}
      {model.truncated && <p className="quiet">The beginning of this flow is gone from the stream.</p>}
      {model.damaged > 0 && <p className="quiet">{model.damaged} events could not be read.</p>}
      {expanded && (
        // What a person is reading does not fold when newer flows come.
        <div
          className={styles["tree"]}
          style={{ "--rows": tree.nodes.size } as CSSProperties}
          onFocus={() => choose(true)}
          onClick={() => choose(true)}
        >
          <SpanTree
            tree={tree}
            timeline={model.open ? withRoom(timeline) : timeline}
            nowNs={nowNs}
            label={title}
            focus={focus}
            onFocus={setFocus}
            selected={selected}
            onSelect={(nodeId) => onSelect(model.flowId, nodeId)}
            follow={model.open}
            rootLook={rootLook}
            percentiles={unusual}
          />
        </div>
      )}
    </article>
  );
});
