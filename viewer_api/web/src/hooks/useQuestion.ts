import { useQuery } from "@tanstack/react-query";
import { flowPreviews } from "../api/flows";

/** What was asked in a flow, where it was recorded and may be seen: null if not, undefined until that is known. */
export function useQuestion(flowId: string, open: boolean): string | null | undefined {
  const { data, isError } = useQuery({
    queryKey: ["question", flowId, open],
    queryFn: async ({ signal }) => (await flowPreviews([flowId], signal))[0]?.question ?? null,
    staleTime: Infinity,
    // It stays while it is read once more at the end of the flow.
    placeholderData: (before) => before,
  });
  return isError ? null : data;
}
