import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { watchedUsers, type WatchedUser } from "../api/monitoring";
import { useSignedIn } from "../app/session";
import { mayWatch } from "../api/session";
import { useLiveStore } from "./useLive";

const REFRESH_MS = 10_000;
const KEY = ["watched"] as const;

export interface Watched {
  /** Undefined until the first answer. */
  readonly users: readonly WatchedUser[] | undefined;
  readonly problem: string | null;
  readonly refresh: () => void;
}

const NOBODY: readonly WatchedUser[] = [];

/** All users watched now: fetched at once, after each change, and periodically. Only with the right to know. */
export function useWatched(): Watched {
  const mayKnow = mayWatch(useSignedIn());
  const client = useQueryClient();
  const store = useLiveStore();
  const { data, error } = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => watchedUsers(signal),
    enabled: mayKnow,
    refetchInterval: REFRESH_MS,
  });
  useEffect(() => store.onWatchChange(() => void client.invalidateQueries({ queryKey: KEY })), [store, client]);
  return {
    users: mayKnow ? data : NOBODY,
    problem: error?.message ?? null,
    refresh: () => void client.invalidateQueries({ queryKey: KEY }),
  };
}
