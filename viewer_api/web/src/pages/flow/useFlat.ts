import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { flatFlow } from "../../api/flows";
import type { FlowModel } from "../../live/liveFlows";
import type { Tree } from "../../reducer/tree";
import { unusualSteps } from "../../tree/unusual";

export interface Flat {
  /** Whether there can be one: of a running flow it is not decided yet. */
  readonly known: boolean;
  /** The spans that the flow's duration is made of; undefined while they are not shown. */
  readonly critical: ReadonlySet<string> | undefined;
  /** How many of 100 steps of its kind took no longer, by span. */
  readonly percentiles: ReadonlyMap<string, number>;
  readonly problem: string | null;
}

/** Larger flows are read a second time only on demand. */
const MOST_UNASKED = 2000;
const NONE: ReadonlyMap<string, number> = new Map();

/** What the viewer computes of a flow: its critical path, and how unusual each step was. Nothing is asked of it while `alone`. */
export function useFlat(model: FlowModel, tree: Tree, path: boolean, chosen: boolean, alone: boolean): Flat {
  const known = !model.open && !alone;
  const { data, error } = useQuery({
    queryKey: ["flat", model.flowId],
    queryFn: ({ signal }) => flatFlow(model.flowId, signal),
    enabled: known && (path || chosen || model.size <= MOST_UNASKED),
    staleTime: Infinity,
  });
  const critical = useMemo(() => (path && data !== undefined ? new Set(data.critical_path) : undefined), [path, data]);
  const running = useMemo(() => (known ? NONE : unusualSteps(tree, model.usualP95Ns)), [known, tree, model]);
  const percentiles = useMemo(
    () => (data === undefined ? running : new Map(data.spans.flatMap(({ node_id: id, percentile }) => (percentile == null ? [] : [[id, percentile] as const])))),
    [data, running],
  );
  return { known, critical, percentiles, problem: path ? (error?.message ?? null) : null };
}
