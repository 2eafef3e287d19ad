import { useCallback, useEffect, useRef, useState } from "react";
import type { Recording } from "./recording";

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16] as const;
const TICK_MS = 50;
const REDUCED = "(prefers-reduced-motion: reduce)";

export interface Player {
  /** Since the beginning. */
  readonly atMs: number;
  readonly playing: boolean;
  readonly play: () => void;
  readonly pause: () => void;
  readonly toggle: () => void;
  readonly seek: (ms: number) => void;
}

/** The clock of a playback. It starts by itself, unless the address names a moment or reduced motion is preferred. */
export function usePlayer(recording: Recording, speed: number, skipIdle: boolean, begin: number | null): Player {
  const [atMs, setAtMs] = useState(() => clamped(begin ?? 0, recording));
  const [playing, setPlaying] = useState(() => begin === null && !matchMedia(REDUCED).matches);
  const latest = useRef({ speed, skipIdle });
  latest.current = { speed, skipIdle };
  useEffect(() => {
    if (!playing) return undefined;
    let before = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      const by = (now - before) * latest.current.speed;
      before = now;
      setAtMs((at) => recording.advanced(at, by, latest.current.skipIdle));
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [playing, recording]);
  const ended = atMs >= recording.durationMs;
  useEffect(() => {
    if (ended) setPlaying(false);
  }, [ended]);
  const seek = useCallback((ms: number) => setAtMs(clamped(ms, recording)), [recording]);
  const play = () => {
    if (ended) setAtMs(0);
    setPlaying(true);
  };
  const pause = () => setPlaying(false);
  return { atMs, playing, play, pause, toggle: playing ? pause : play, seek };
}

const clamped = (ms: number, { durationMs }: Recording) => Math.min(Math.max(Number.isFinite(ms) ? ms : 0, 0), durationMs);
