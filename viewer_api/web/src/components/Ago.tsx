import { useSyncExternalStore } from "react";
import { usePreferences } from "../app/preferences";
import { dateTime, relativeTime, utcTime } from "../format";

const TICK_MS = 5_000;

/** One clock for the whole page: of two moments the later one never seems to be the earlier one. */
let nowMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  nowMs = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    nowMs = Date.now();
    timer = setInterval(tick, TICK_MS);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) clearInterval(timer);
  };
}

/** A moment as this person wants moments written, with the exact one (here and in UTC) on hover. */
export function Ago({ iso }: { readonly iso: string }) {
  const { times } = usePreferences();
  const now = useSyncExternalStore(subscribe, () => nowMs);
  const text = times === "relative" ? relativeTime(iso, now) : times === "utc" ? utcTime(iso) : dateTime(iso);
  return (
    <time className="nowrap" dateTime={iso} title={`${dateTime(iso)}\n${utcTime(iso)}`}>
      {text}
    </time>
  );
}
