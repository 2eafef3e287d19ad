import { createContext, useCallback, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { apiUrl } from "../api/http";
import type { LiveFlows } from "../live/liveFlows";
import { LiveStore, type LiveSnapshot } from "../live/liveStore";
import { userTopic, type Topic } from "../live/topic";

/** The live store of this browser tab. */
export function browserStore(): LiveStore {
  return new LiveStore({
    open() {
      const url = apiUrl("live");
      url.protocol = url.protocol.replace("http", "ws");
      return new WebSocket(url);
    },
    later(callback, ms) {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    now: Date.now,
    // Not an animation frame: those stand still in a hidden tab.
    soon: (callback, ms) => void setTimeout(callback, ms),
    elapsedMs: () => performance.now(),
    drawn: afterFrame,
  });
}

/** So long a frame is waited for at most: in a hidden tab none comes. */
const LONGEST_FRAME_MS = 500;

/** Calls back when the browser has laid out and painted what has changed. */
function afterFrame(callback: () => void): void {
  let called = false;
  const once = () => {
    if (!called) callback();
    called = true;
  };
  requestAnimationFrame(() => setTimeout(once));
  setTimeout(once, LONGEST_FRAME_MS);
}

export const LiveContext = createContext<LiveStore | null>(null);

export function useLiveStore(): LiveStore {
  const store = useContext(LiveContext);
  if (store === null) throw new Error("there is no live store around this component");
  return store;
}

export function useLiveSnapshot(): LiveSnapshot {
  const store = useLiveStore();
  return useSyncExternalStore(store.subscribe, store.getSnapshot);
}

/** The flows of a topic, drawn anew whenever there is news of them. */
export function useTopic(topic: Topic): LiveFlows {
  const store = useLiveStore();
  const subscribe = useCallback((listener: () => void) => store.subscribeTo(topic, listener), [store, topic]);
  useSyncExternalStore(subscribe, () => store.flowsOf(topic).version);
  return store.flowsOf(topic);
}

/** Follow a user while the component is shown. */
export function useFollowed(userId: string): LiveFlows {
  const store = useLiveStore();
  const topic = useMemo(() => userTopic(userId), [userId]);
  useEffect(() => store.follow(topic), [store, topic]);
  return useTopic(topic);
}
