import { useCallback, useEffect, useState } from "react";
import { Problem } from "../api/http";
import { watchedUsers, type WatchedUser } from "../api/monitoring";

const REFRESH_MS = 10_000;

export interface Watched {
  /** Null until the first answer. */
  readonly users: readonly WatchedUser[] | null;
  readonly problem: string | null;
  readonly refresh: () => void;
}

const NOBODY: readonly WatchedUser[] = [];

/** Everybody who is watched now: asked at once, after each change, and now and then. Never by who may not know. */
export function useWatched(mayKnow: boolean, onSignedOut: () => void): Watched {
  const [users, setUsers] = useState<readonly WatchedUser[] | null>(mayKnow ? null : NOBODY);
  const [problem, setProblem] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const refresh = useCallback(() => setRound((before) => before + 1), []);
  useEffect(() => {
    if (!mayKnow) return undefined;
    const abort = new AbortController();
    watchedUsers(abort.signal).then(
      (found) => {
        setUsers(found);
        setProblem(null);
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        if (error instanceof Problem && error.status === 401) onSignedOut();
        else setProblem(error instanceof Error ? error.message : String(error));
      },
    );
    const timer = setTimeout(refresh, REFRESH_MS);
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [mayKnow, round, refresh, onSignedOut]);
  return { users, problem, refresh };
}
