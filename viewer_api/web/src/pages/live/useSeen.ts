import { useEffect, type RefObject } from "react";
import { useLiveStore } from "../../hooks/useLive";
import { userTopic } from "../../live/topic";

/** Tells the live store whether the panel of a user is in view. */
export function useSeen(panel: RefObject<HTMLElement | null>, userId: string): void {
  const store = useLiveStore();
  useEffect(() => {
    const element = panel.current;
    if (element === null) return undefined;
    const topic = userTopic(userId);
    const observer = new IntersectionObserver((entries) => store.setSeen(topic, entries.at(-1)?.isIntersecting === true));
    observer.observe(element);
    return () => {
      observer.disconnect();
      store.setSeen(topic, true);
    };
  }, [panel, store, userId]);
}
