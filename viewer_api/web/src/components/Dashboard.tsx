import { useEffect, useState } from "react";
import { mayWatch, onlyThemselves, type Session } from "../api/session";
import { browserStore, LiveContext, useLiveSnapshot } from "../hooks/useLive";
import { useRoute } from "../hooks/useRoute";
import { useWatched } from "../hooks/useWatched";
import type { LiveStore } from "../live/liveStore";
import { Header } from "./Header";
import { HistoryView } from "./HistoryView";
import { LiveView } from "./LiveView";

interface Props {
  readonly session: Session;
  readonly onLeave: () => void;
  readonly onSignedOut: () => void;
}

/** Everything behind the sign-in. */
export function Dashboard(props: Props) {
  const [store, setStore] = useState<LiveStore | null>(null);
  useEffect(() => {
    const made = browserStore();
    setStore(made);
    return () => made.close();
  }, []);
  return store === null ? null : (
    <LiveContext value={store}>
      <Views store={store} {...props} />
    </LiveContext>
  );
}

function Views({ store, session, onLeave, onSignedOut }: Props & { readonly store: LiveStore }) {
  const own = onlyThemselves(session);
  const [route, go] = useRoute(own);
  const watched = useWatched(mayWatch(session), onSignedOut);
  const { state } = useLiveSnapshot();
  useEffect(() => {
    store.onWatchChanged = watched.refresh;
  }, [store, watched.refresh]);
  useEffect(() => {
    if (state === "signed-out") onSignedOut();
    // What the page shows and asks for follows from the rights.
    if (state === "rights-changed") location.reload();
  }, [state, onSignedOut]);
  return (
    <>
      <a className="skip" href="#main" onClick={(event) => focusMain(event)}>
        Skip to the flows
      </a>
      <Header session={session} route={route} own={own} onGo={go} onLeave={onLeave} />
      {route.view === "live" ? (
        <LiveView route={route} watched={watched} onGo={go} mayWatch={mayWatch(session)} own={own} />
      ) : (
        <HistoryView key={route.user} route={route} watched={watched} onGo={go} own={own} />
      )}
    </>
  );
}

/** Not by the link itself: the part behind `#` is the page's view. */
function focusMain(event: { preventDefault(): void }) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
