import { useCallback, useMemo, useState } from "react";
import type { FlowModel, LiveFlows } from "../../live/liveFlows";
import { useLiveStore } from "../../hooks/useLive";

/** The time that a panel shows: what happens now, or the moment where it was paused. */
export interface PanelTime {
  /** Null while the panel is live. */
  readonly stoppedNs: bigint | null;
  /** Events that have come since. */
  readonly news: number;
  readonly flows: readonly FlowModel[];
  /** Stop at this moment. */
  readonly stop: (ns: bigint) => void;
  /** Stop at the present moment, or go on. */
  readonly toggle: () => void;
}

/** A stopped panel stands still whatever comes, and can be rewound; nothing that comes meanwhile is missed. */
export function usePanelTime(live: LiveFlows): PanelTime {
  const store = useLiveStore();
  const [stopped, setStopped] = useState<{ readonly ns: bigint; readonly received: number } | null>(null);
  const newest = useMemo(() => live.newestFirst().filter((model) => model.size > 0), [live, live.version]);
  const then = useMemo(() => {
    if (stopped === null) return null;
    return live.newestFirst().flatMap((model) => {
      const past = model.asOf(stopped.ns);
      return past.size === 0 ? [] : [past];
    });
    // What comes while it stands still does not change it.
  }, [live, stopped]);
  const stop = useCallback(
    (ns: bigint) => setStopped((before) => ({ ns, received: before?.received ?? live.received })),
    [live],
  );
  const toggle = useCallback(
    () => setStopped((before) => (before === null ? { ns: BigInt(Math.round(store.nowMs())) * 1_000_000n, received: live.received } : null)),
    [live, store],
  );
  return {
    stoppedNs: stopped?.ns ?? null,
    news: stopped === null ? 0 : live.received - stopped.received,
    flows: then ?? newest,
    stop,
    toggle,
  };
}
