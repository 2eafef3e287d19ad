import { createContext, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { apiUrl } from "../api/http";
import type { LiveFlows } from "../live/liveFlows";
import { LiveStore, type LiveSnapshot } from "../live/liveStore";
import { userTopic } from "../live/topic";

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
    // Not an animation frame: those stand still in a hidden tab, and the memory of what came must not grow there.
    soon: (callback) => void setTimeout(callback, 50),
  });
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

/** Follow a user while the component is shown. */
export function useFollowed(userId: string): LiveFlows {
  const store = useLiveStore();
  useLiveSnapshot();
  const topic = useMemo(() => userTopic(userId), [userId]);
  useEffect(() => store.follow(topic), [store, topic]);
  return store.flowsOf(topic);
}
