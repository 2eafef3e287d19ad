import { FastForward, Pause, Play, SkipBack, SkipForward, TriangleAlert } from "lucide-react";
import { memo, useMemo } from "react";
import { useShortcuts } from "../../app/shortcuts";
import { clockTime, duration } from "../../format";
import { Button, IconButton } from "../../ui/Button";
import { Select } from "../../ui/Field";
import { ToggleButton } from "../../ui/ToggleButton";
import type { Recording } from "./recording";
import { SPEEDS, type Player } from "./usePlayer";
import styles from "./PlayerBar.module.css";

interface Props {
  readonly recording: Recording;
  readonly player: Player;
  readonly speed: number;
  readonly onSpeed: (speed: number) => void;
  readonly skipIdle: boolean;
  readonly onSkipIdle: (skip: boolean) => void;
}

const LEAP_MS = 5_000;
const GROUP = "Playback";
const CHOICES = SPEEDS.map((speed) => ({ id: String(speed), text: `${speed}×` }));

/** Play, pause, faster, slower, and any moment of it. */
export function PlayerBar({ recording, player, speed, onSpeed, skipIdle, onSkipIdle }: Props) {
  const { atMs, playing, toggle, seek, pause } = player;
  const step = (to: number) => {
    pause();
    seek(to);
  };
  const failure = recording.nextFailure(atMs) ?? recording.nextFailure(-1);
  const faster = (by: number) => {
    const next = SPEEDS[SPEEDS.findIndex((each) => each === speed) + by];
    if (next !== undefined) onSpeed(next);
  };
  // A short flow is not left behind by one leap.
  const leap = Math.min(LEAP_MS, recording.durationMs / 10);
  useShortcuts([
    { keys: " ", text: "Play or pause", group: GROUP, run: toggle },
    { keys: "ArrowRight", text: "Leap forward", group: GROUP, run: () => seek(atMs + leap) },
    { keys: "ArrowLeft", text: "Leap back", group: GROUP, run: () => seek(atMs - leap) },
    { keys: ".", text: "Next step", group: GROUP, run: () => step(recording.after(atMs)) },
    { keys: ",", text: "Previous step", group: GROUP, run: () => step(recording.before(atMs)) },
    { keys: "e", text: "Next step that went wrong", group: GROUP, run: () => failure !== undefined && step(failure) },
    { keys: ">", text: "Faster", group: GROUP, run: () => faster(1) },
    { keys: "<", text: "Slower", group: GROUP, run: () => faster(-1) },
    { keys: "i", text: "Skip times in which nothing happens", group: GROUP, run: () => onSkipIdle(!skipIdle) },
    { keys: "Home", text: "The beginning", group: GROUP, run: () => seek(0) },
    { keys: "End", text: "The end", group: GROUP, run: () => step(recording.durationMs) },
  ]);
  const moment = clockTime(recording.startedNs + BigInt(Math.round(atMs * 1e6)));
  return (
    <div className={styles["bar"]} role="group" aria-label="Playback" data-testid="player" data-playing={playing}>
      <div className={styles["buttons"]}>
        <Button look="main" icon={playing ? Pause : Play} onPress={toggle} testId="play">
          {playing ? "Pause" : "Play"}
        </Button>
        <IconButton icon={SkipBack} label="Previous step" keys="," onPress={() => step(recording.before(atMs))} />
        <IconButton icon={SkipForward} label="Next step" keys="." onPress={() => step(recording.after(atMs))} testId="next-step" />
        {failure !== undefined && <IconButton icon={TriangleAlert} label="Next step that went wrong" keys="e" onPress={() => step(failure)} testId="next-wrong" />}
        <Select label="Speed" hideLabel choices={CHOICES} value={String(speed)} onChange={(id) => onSpeed(Number(id))} testId="speed" />
        <ToggleButton on={skipIdle} onChange={onSkipIdle} icon={FastForward} testId="skip-idle">
          Skip idle
        </ToggleButton>
        <span className={styles["time"]} data-testid="played-time">
          <strong>{duration(atMs)}</strong> of {duration(recording.durationMs)} <span className="quiet">{moment}</span>
        </span>
      </div>
      <div className={styles["track"]}>
        <Marks recording={recording} skipIdle={skipIdle} />
        <input
          className={styles["slider"]}
          type="range"
          aria-label="Moment"
          aria-valuetext={`${duration(atMs)} of ${duration(recording.durationMs)}`}
          min={0}
          max={Math.max(recording.durationMs, 1)}
          step="any"
          value={atMs}
          onChange={(event) => seek(Number(event.target.value))}
          data-testid="seek"
        />
      </div>
    </div>
  );
}

const WIDTH = 1000;
const IDLE_SHOWN_MS = 1_000;

/** When something happened, and when something went wrong, along the slider. */
const Marks = memo(function Marks({ recording, skipIdle }: { readonly recording: Recording; readonly skipIdle: boolean }) {
  const { happened, wrong, idle } = useMemo(() => {
    const place = (ms: number) => Math.round((ms / Math.max(recording.durationMs, 1e-6)) * WIDTH);
    // Of many moments several lie on the same point of so small a picture.
    const lines = (moments: readonly number[]) => [...new Set(moments.map(place))].map((at) => `M${at} 0V10`).join("");
    const gaps = recording.moments.flatMap((moment, index) => {
      const next = recording.moments[index + 1];
      return next !== undefined && next - moment > IDLE_SHOWN_MS ? [{ x: place(moment), width: place(next) - place(moment) }] : [];
    });
    return { happened: lines(recording.moments), wrong: lines(recording.failures), idle: gaps };
  }, [recording]);
  return (
    <svg className={styles["marks"]} viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true">
      {skipIdle && idle.map(({ x, width }) => <rect key={x} x={x} y={0} width={width} height={10} className={styles["idle"]} />)}
      <path d={happened} className={styles["happened"]} />
      <path d={wrong} className={styles["wrong"]} />
    </svg>
  );
});
