import { useMutation } from "@tanstack/react-query";
import { CircleStop, Pause, Play } from "lucide-react";
import { extendWatch, nameOf, unwatch, watch, type WatchedUser } from "../../api/monitoring";
import { clockTime } from "../../format";
import { useLiveStore } from "../../hooks/useLive";
import { Button, IconButton } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import { tell } from "../../ui/tell";
import type { PanelTime } from "./usePanelTime";
import styles from "./UserPanel.module.css";

const HOUR_MS = 3_600_000;

/** What ends or lengthens the watch of the panel's user. */
export function WatchTools({ watched, onChanged }: { readonly watched: WatchedUser; readonly onChanged: () => void }) {
  const change = useMutation({ mutationFn: (ask: () => Promise<unknown>) => ask(), onSuccess: onChanged });
  const store = useLiveStore();
  const name = nameOf(watched);
  const stop = () =>
    change.mutate(() => unwatch(watched.userId), {
      onSuccess: () => tell(`${name} is no longer watched`, () => change.mutate(() => again(watched).then(() => store.renew(watched.userId)))),
    });
  return (
    <>
      {change.error !== null && <Notice kind="problem">{change.error.message}</Notice>}
      {watched.expiresAt !== null && (
        <Button look="plain" onPress={() => change.mutate(() => extendWatch(watched.userId, 1))} testId="panel-extend">
          +1 h<span className="visually-hidden"> for the watch of {name}</span>
        </Button>
      )}
      <IconButton icon={CircleStop} label={`End the watch of ${name}`} onPress={stop} testId="panel-stop" />
    </>
  );
}

/** The same watch, for the time that it had left. */
export function again(user: WatchedUser): Promise<unknown> {
  const hours = user.expiresAt === null ? 24 : Math.max((Date.parse(user.expiresAt) - Date.now()) / HOUR_MS, 0.02);
  return watch(user.userId, hours, user.reason ?? "", user.metadataOnly);
}

export function PauseButton({ paused, onPause, name }: { readonly paused: boolean; readonly onPause: () => void; readonly name: string }) {
  return (
    <IconButton
      icon={paused ? Play : Pause}
      label={paused ? `Resume ${name}` : `Pause ${name}`}
      aria-pressed={paused}
      onPress={onPause}
      testId="panel-pause"
    />
  );
}

interface RewindProps {
  readonly time: PanelTime;
  /** When the oldest flow of the panel began. */
  readonly oldestNs: bigint;
  readonly nowNs: bigint;
  readonly name: string;
}

/** Stands while a panel is stopped: the moment that it shows, to be moved, and what has come since. */
export function Rewind({ time, oldestNs, nowNs, name }: RewindProps) {
  if (time.stoppedNs === null) return null;
  const end = nowNs > oldestNs ? nowNs : oldestNs + 1n;
  return (
    <div className={styles["rewind"]} data-testid="panel-paused">
      <span className={styles["moment"]}>{clockTime(time.stoppedNs)}</span>
      <input
        type="range"
        aria-label={`The moment that the panel of ${name} shows`}
        aria-valuetext={clockTime(time.stoppedNs)}
        min={0}
        max={Number((end - oldestNs) / 1_000_000n)}
        step={1}
        value={Number((time.stoppedNs - oldestNs) / 1_000_000n)}
        onChange={(event) => time.stop(oldestNs + BigInt(event.target.value) * 1_000_000n)}
        data-testid="panel-rewind"
      />
      <Button look="main" icon={Play} onPress={time.toggle} testId="panel-live">
        {time.news === 0 ? "Back to live" : `${time.news} new`}
      </Button>
    </div>
  );
}
