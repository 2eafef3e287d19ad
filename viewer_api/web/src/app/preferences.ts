import { useSyncExternalStore } from "react";
import { readStored, store } from "./stored";

/** How moments are written: how long ago, by this computer's clock, or in UTC. */
export type Times = "relative" | "local" | "utc";
export type Density = "comfortable" | "compact";

export interface Preferences {
  readonly times: Times;
  readonly density: Density;
}

const KEY = "spanflow.preferences";
const TIMES: readonly unknown[] = ["relative", "local", "utc"];

const listeners = new Set<() => void>();
let current = read();

function read(): Preferences {
  const found = readStored(KEY);
  const { times, density } = (typeof found === "object" && found !== null ? found : {}) as Record<string, unknown>;
  return {
    times: TIMES.includes(times) ? (times as Times) : "relative",
    density: density === "compact" ? "compact" : "comfortable",
  };
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  store(KEY, current);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** What this person has chosen in this browser. */
export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, () => current);
}
