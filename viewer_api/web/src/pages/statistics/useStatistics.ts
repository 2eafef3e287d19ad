import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { flowStatistics, funnel, stepStatistics, type Grouping } from "../../api/statistics";
import { onlyThemselves } from "../../api/session";
import { useSignedIn } from "../../app/session";
import { useNavigation } from "../../navigation/useNavigation";
import { filtersOf, rangeOf, type Range } from "./range";
import type { Query } from "../../navigation/route";

/** The numbers follow what happens; each look is a row of the audit log, so not every second. */
const REFRESH_MS = 20_000;
const USERS = 8;

/** What the address asks for, as it is now: the end of “the last hour” moves on with each look. */
function useAsk() {
  const { route } = useNavigation();
  const own = onlyThemselves(useSignedIn());
  const query: Query = own === null ? route.query : { ...route.query, user_id: [own] };
  return {
    key: JSON.stringify(query),
    ask: <T>(read: (filters: Query, range: Range) => Promise<T>) => {
      const range = rangeOf(query, Date.now());
      return read(filtersOf(query, range), range);
    },
  };
}

const LIVE = { refetchInterval: REFRESH_MS, placeholderData: keepPreviousData } as const;

export function useFlowSums() {
  const { key, ask } = useAsk();
  return useQuery({
    queryKey: ["statistics", "flows", key],
    queryFn: ({ signal }) =>
      ask(async (filters, { interval }) => ({ interval, ...(await flowStatistics(filters, { interval }, signal)) })),
    ...LIVE,
  });
}

export function useFunnel() {
  const { key, ask } = useAsk();
  return useQuery({ queryKey: ["statistics", "funnel", key], queryFn: ({ signal }) => ask((filters) => funnel(filters, signal)), ...LIVE });
}

export function useSteps(grouping: Grouping) {
  const { key, ask } = useAsk();
  return useQuery({
    queryKey: ["statistics", "steps", key, grouping],
    queryFn: ({ signal }) => ask((filters) => stepStatistics(filters, grouping, signal)),
    ...LIVE,
  });
}

/** The same steps over time; asked only while one of them is chosen. */
export function useStepSeries(grouping: Grouping, wanted: boolean) {
  const { key, ask } = useAsk();
  return useQuery({
    queryKey: ["statistics", "series", key, grouping],
    queryFn: ({ signal }) =>
      ask(async (filters, { interval }) => ({ interval, ...(await stepStatistics(filters, { ...grouping, interval }, signal)) })),
    enabled: wanted,
    ...LIVE,
  });
}

export function useByUser(wanted: boolean) {
  const { key, ask } = useAsk();
  return useQuery({
    queryKey: ["statistics", "users", key],
    queryFn: ({ signal }) => ask((filters) => flowStatistics(filters, { group_by: "user", sort: "tokens", limit: USERS }, signal)),
    enabled: wanted,
    ...LIVE,
  });
}
