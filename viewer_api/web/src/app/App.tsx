import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { Problem } from "../api/http";
import { browserStore, LiveContext, useLiveSnapshot } from "../hooks/useLive";
import { useSession } from "../hooks/useSession";
import type { LiveStore } from "../live/liveStore";
import { sharedToken } from "../navigation/route";
import { NavigationProvider } from "../navigation/useNavigation";
import { SessionContext } from "./session";
import { Shell } from "./Shell";

const SharedPage = lazy(() => import("../pages/shared/SharedPage"));
const SignIn = lazy(() => import("../components/SignIn"));

export function App() {
  const token = useSharedToken();
  return token === null ? (
    <Operator />
  ) : (
    <Suspense fallback={null}>
      <SharedPage key={token} token={token} />
    </Suspense>
  );
}

/** The token of a link to one flow, while the address is one. */
function useSharedToken(): string | null {
  const [token, setToken] = useState(() => sharedToken(location.hash));
  useEffect(() => {
    const onHash = () => setToken(sharedToken(location.hash));
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);
  return token;
}

function Operator() {
  const [state, { entered, leave, lost }] = useSession();
  switch (state.kind) {
    case "asking":
      return (
        <p className="visually-hidden" role="status">
          Signing in…
        </p>
      );
    case "out":
      return (
        <Suspense fallback={null}>
          <SignIn problem={state.problem} onEntered={entered} />
        </Suspense>
      );
    case "in":
      return (
        <NavigationProvider>
          <SessionContext value={state.session}>
            <SignedIn onLeave={leave} onLost={lost} />
          </SessionContext>
        </NavigationProvider>
      );
  }
}

/** What lasts as long as the session: cached answers and the one live connection. */
function SignedIn({ onLeave, onLost }: { readonly onLeave: () => void; readonly onLost: () => void }) {
  const client = useMemo(() => queryClient(onLost), [onLost]);
  const [store, setStore] = useState<LiveStore | null>(null);
  useEffect(() => {
    const made = browserStore();
    setStore(made);
    return () => made.close();
  }, []);
  if (store === null) return null;
  return (
    <QueryClientProvider client={client}>
      <LiveContext value={store}>
        <ConnectionEnds onLost={onLost} />
        <Shell onLeave={onLeave} />
      </LiveContext>
    </QueryClientProvider>
  );
}

function ConnectionEnds({ onLost }: { readonly onLost: () => void }) {
  const { state } = useLiveSnapshot();
  useEffect(() => {
    if (state === "signed-out") onLost();
    // What the page shows and asks for follows from the rights.
    if (state === "rights-changed") location.reload();
  }, [state, onLost]);
  return null;
}

/** A lost session leads to the sign-in wherever it is noticed. */
function queryClient(onLost: () => void): QueryClient {
  const onError = (error: Error) => {
    if (error instanceof Problem && error.status === 401) onLost();
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        // What the viewer refuses it refuses again; only what could not be reached is tried once more.
        retry: (count, error) => count < 2 && !(error instanceof Problem && error.status !== 0 && error.status < 500),
      },
    },
  });
}
