import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { criticalPath } from "../../api/flows";
import type { FlowModel } from "../../live/liveFlows";

export interface CriticalPath {
  /** Whether there can be one: of a running flow it is not decided yet. */
  readonly known: boolean;
  /** Undefined while it is not shown. */
  readonly path: ReadonlySet<string> | undefined;
  readonly problem: string | null;
}

/** The spans that the flow's duration is made of, as the viewer computes it. Asked only when they are wanted. */
export function useCriticalPath(model: FlowModel, wanted: boolean): CriticalPath {
  const known = !model.open;
  const { data, error } = useQuery({
    queryKey: ["critical path", model.flowId],
    queryFn: ({ signal }) => criticalPath(model.flowId, signal),
    enabled: wanted && known,
    staleTime: Infinity,
  });
  const path = useMemo(() => (wanted && data !== undefined ? new Set(data) : undefined), [wanted, data]);
  return { known, path, problem: wanted ? (error?.message ?? null) : null };
}
