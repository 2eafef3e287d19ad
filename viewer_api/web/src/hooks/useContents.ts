import { useQuery } from "@tanstack/react-query";
import { flow as readFlow, type Contents } from "../api/flows";

/** What there is of contents in a flow of which only live events are known; asked once, when one looks for them. */
export function useContents(flowId: string, wanted: boolean): Contents | null | undefined {
  const { data } = useQuery({
    queryKey: ["contents", flowId],
    queryFn: async ({ signal }) => (await readFlow(flowId, signal)).contents ?? null,
    enabled: wanted,
    staleTime: Infinity,
  });
  return data;
}
