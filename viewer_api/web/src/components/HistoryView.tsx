import { useCallback, useEffect, useState } from "react";
import { Problem } from "../api/http";
import { flowsOf, type FlowSummary } from "../api/flows";
import type { Person } from "../api/monitoring";
import { useName } from "../hooks/useName";
import type { Watched } from "../hooks/useWatched";
import type { Route } from "../route";
import { FlowList } from "./FlowList";
import { FlowView } from "./FlowView";
import { UserSearch } from "./UserSearch";

interface Props {
  readonly route: Extract<Route, { view: "history" }>;
  readonly watched: Watched;
  readonly onGo: (route: Route) => void;
  /** Set for who may see nobody else. */
  readonly own: string | null;
}

interface Found {
  readonly flows: readonly FlowSummary[];
  readonly next: string | null;
}

/** The past flows of one user: a list with the newest first, and the tree of the chosen one. */
export function HistoryView({ route, watched, own, onGo }: Props) {
  const { user } = route;
  const [found, setFound] = useState<Found | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const load = useCallback(
    (cursor: string | undefined, signal: AbortSignal) => {
      if (user === null) return;
      flowsOf(user, cursor, signal).then(
        ({ flows, next }) => {
          setProblem(null);
          setFound((before) => ({ flows: cursor === undefined ? flows : [...(before?.flows ?? []), ...flows], next }));
        },
        (error: unknown) => {
          if (!signal.aborted) setProblem(error instanceof Problem ? error.message : String(error));
        },
      );
    },
    [user],
  );
  useEffect(() => {
    const abort = new AbortController();
    load(undefined, abort.signal);
    return () => abort.abort();
  }, [load, round]);
  const known = watched.users?.find((other) => other.userId === user);
  return (
    <main id="main" tabIndex={-1} className="history">
      <div className="history-head">
        {own === null && (
          <UserSearch
            label="Whose flows?"
            onChoose={(person) => onGo({ view: "history", user: person.userId, flow: null })}
          />
        )}
        {user !== null && (
          <p>
            <Name userId={user} listed={known} />{" "}
            <button type="button" onClick={() => setRound(round + 1)}>
              Refresh
            </button>
          </p>
        )}
      </div>
      {problem !== null && (
        <p role="alert" className="alert">
          {problem}
        </p>
      )}
      {route.flow !== null && (
        <FlowView
          key={route.flow}
          flowId={route.flow}
          mayFollow={known !== undefined || own !== null}
          onClose={() => onGo({ ...route, flow: null })}
        />
      )}
      {found !== null && (
        <FlowList
          flows={found.flows}
          chosen={route.flow}
          onChoose={(flow) => onGo({ ...route, flow })}
          onMore={found.next === null ? null : () => load(found.next ?? undefined, new AbortController().signal)}
        />
      )}
    </main>
  );
}

function Name({ userId, listed }: { readonly userId: string; readonly listed: Person | undefined }) {
  return <strong>{useName(userId, listed)}</strong>;
}
