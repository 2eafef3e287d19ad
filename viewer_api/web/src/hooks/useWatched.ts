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

/** Everybody who is watched now: asked at once, after each change, and now and then. */
export function useWatched(onSignedOut: () => void): Watched {
  const [users, setUsers] = useState<readonly WatchedUser[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const refresh = useCallback(() => setRound((before) => before + 1), []);
  useEffect(() => {
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
  }, [round, refresh, onSignedOut]);
  return { users, problem, refresh };
}
