import { useEffect, useState } from "react";

/** The time by `clock`, again every `everyMs`; standing still while `everyMs` is null. */
export function useNow(clock: () => number, everyMs: number | null): number {
  const [now, setNow] = useState(clock);
  useEffect(() => {
    setNow(clock());
    if (everyMs === null) return undefined;
    const timer = setInterval(() => setNow(clock()), everyMs);
    return () => clearInterval(timer);
  }, [clock, everyMs]);
  return now;
}
