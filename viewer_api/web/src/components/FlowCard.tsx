import { useMemo, useState } from "react";
import { clockTime, durationNs } from "../format";
import { useLiveStore } from "../hooks/useLive";
import { useNow } from "../hooks/useNow";
import type { FlowModel } from "../live/liveFlows";
import { verdictOf } from "../reducer/outcome";
import { appearance, label, outcomeAppearance, reasonWords } from "../tree/appearance";
import { timelineOf } from "../tree/timeline";
import { Sign } from "./Sign";
import { TreeGrid } from "./TreeGrid";

interface Props {
  readonly model: FlowModel;
  /** Changes when the model has changed. */
  readonly version: number;
  /** Whether the tree is shown until somebody decides for this flow. */
  readonly unfolded: boolean;
}

const TICK_MS = 250;
/** Larger trees are drawn less often while they run. */
const LARGE = 1000;
const LARGE_TICK_MS = 1000;

/** One flow: a line that says how it is, and its tree. */
export function FlowCard({ model, version, unfolded }: Props) {
  const store = useLiveStore();
  const [chosen, choose] = useState<boolean | null>(null);
  const expanded = chosen ?? unfolded;
  const now = useNow(store.nowMs, model.open ? (model.size > LARGE ? LARGE_TICK_MS : TICK_MS) : null);
  // The newest event may be a moment ahead of the last tick, and of this computer's idea of the viewer's clock.
  const newest = useMemo(() => model.newestNs(), [model, version]);
  const ticked = BigInt(Math.round(now)) * 1_000_000n;
  const nowNs = model.open && ticked > newest ? ticked : newest;
  const tree = useMemo(() => model.tree(nowNs), [model, version, nowNs, model.open]);
  const root = tree.roots[0];
  if (root === undefined) return null;
  const timeline = timelineOf(tree, nowNs);
  const verdict = verdictOf(tree);
  const look = verdict.outcome === null ? appearance(root) : outcomeAppearance(verdict.outcome, false);
  const why = verdict.reason ?? reasonWords(verdict.outcomeReason);
  const title = label(root);
  return (
    <article className="flow" data-testid="flow" data-flow-id={model.flowId} data-open={model.open} data-look={look.look}>
      <h3>
        <button type="button" aria-expanded={expanded} onClick={() => choose(!expanded)} className="flow-head">
          <Sign look={look} silent={look.look !== "ok" && look.look !== "running"} />
          <span className="flow-name">{title}</span>
          {look.look !== "ok" && look.look !== "running" && (
            <span className={`sign ${look.look}`} data-testid="flow-verdict">
              {look.words}
              {verdict.gate === null ? "" : ` at ${verdict.gate}`}
              {why === null ? "" : `: ${why}`}
            </span>
          )}
          <span className="quiet">
            {clockTime(timeline.startNs)} · <span data-testid="flow-duration">{durationNs(timeline.endNs - timeline.startNs)}</span> ·{" "}
            {model.size} {model.size === 1 ? "span" : "spans"}
          </span>
        </button>
      </h3>
      {model.truncated && <p className="quiet">The beginning of this flow is gone from the stream.</p>}
      {model.damaged > 0 && <p className="quiet">{model.damaged} events could not be read.</p>}
      {expanded && (
        // What somebody is reading does not fold when newer flows come.
        <div onFocus={() => choose(true)} onClick={() => choose(true)}>
          <TreeGrid tree={tree} timeline={timeline} nowNs={nowNs} label={title} />
        </div>
      )}
    </article>
  );
}
