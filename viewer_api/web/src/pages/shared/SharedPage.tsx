import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import type { Flow } from "../../api/flows";
import { Problem } from "../../api/http";
import { sharedFlow } from "../../api/shares";
import { PageBoundary } from "../../app/PageBoundary";
import { browserStore, LiveContext } from "../../hooks/useLive";
import { FlowModel } from "../../live/liveFlows";
import { NavigationProvider } from "../../navigation/useNavigation";
import { Loading, Notice } from "../../ui/Notice";
import Toasts from "../../ui/Toasts";
import { FlowWorkspace } from "../flow/FlowWorkspace";
import { SHARED_VIEWS } from "../flow/useFlowView";
import { SharedHead } from "./SharedHead";
import styles from "./SharedPage.module.css";

/** A running flow is asked for again so often: there is no live connection without a sign-in. */
const AGAIN_MS = 5_000;

/** One flow, shown by a link to whoever has it: `#/shared/<token>`. */
export default function SharedPage({ token }: { readonly token: string }) {
  const client = useMemo(() => new QueryClient(), []);
  // Only its clock is of use here: nothing is followed, so it connects to nothing.
  const store = useMemo(browserStore, []);
  useEffect(() => () => store.close(), [store]);
  return (
    <NavigationProvider>
      <QueryClientProvider client={client}>
        <LiveContext value={store}>
          <main id="main" className={styles["page"]} data-testid="shared-page">
            <PageBoundary>
              <Shared token={token} />
            </PageBoundary>
          </main>
          <Toasts />
        </LiveContext>
      </QueryClientProvider>
    </NavigationProvider>
  );
}

function Shared({ token }: { readonly token: string }) {
  const { data, error } = useQuery({
    queryKey: ["shared"],
    queryFn: ({ signal }) => sharedFlow(token, signal),
    retry: (count, problem) => count < 2 && !(problem instanceof Problem && problem.status !== 0 && problem.status < 500),
    refetchInterval: ({ state }) => (state.data?.flow.open === true && state.error === null ? AGAIN_MS : false),
    refetchOnWindowFocus: false,
    staleTime: Infinity,
  });
  const model = useModel(data?.flow);
  if (error !== null) {
    return (
      <Notice kind="problem" testId="not-shared">
        {error.message}
      </Notice>
    );
  }
  if (data === undefined || model === null) return <Loading label="The flow is loading" />;
  return (
    <FlowWorkspace
      flow={data.flow}
      model={model}
      version={model.version}
      followed={data.flow.open}
      views={SHARED_VIEWS}
      alone
      head={(shown) => <SharedHead flow={data.flow} model={model} version={model.version} shown={shown} expiresAt={data.expires_at} />}
    />
  );
}

function useModel(flow: Flow | undefined): FlowModel | null {
  const [model, setModel] = useState<FlowModel | null>(null);
  useEffect(() => {
    if (flow === undefined) return;
    const next = new FlowModel(flow.flow_id);
    next.addAll(flow.flow_data.events ?? []);
    next.open = flow.open;
    setModel(next);
  }, [flow]);
  return model;
}
