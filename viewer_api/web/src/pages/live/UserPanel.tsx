import { GripVertical, X } from "lucide-react";
import { useEffect, useId, useRef, type KeyboardEvent } from "react";
import type { WatchedUser } from "../../api/monitoring";
import { FlowCard } from "../../components/FlowCard";
import { countdown } from "../../format";
import { useFollowed, useLiveStore } from "../../hooks/useLive";
import { useName } from "../../hooks/useName";
import { useNow } from "../../hooks/useNow";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { IconButton } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import type { Chosen } from "./LiveDetails";
import { LastFlows } from "./LastFlows";
import { PanelState } from "./PanelState";
import { PauseButton, Rewind, WatchTools } from "./PanelTools";
import { usePanelTime } from "./usePanelTime";
import styles from "./UserPanel.module.css";

interface Props {
  readonly userId: string;
  /** As the list of watched users has them; undefined for who is not watched. */
  readonly watched: WatchedUser | undefined;
  readonly compact: boolean;
  /** Null for a panel that stays. */
  readonly onClose: (() => void) | null;
  /** Moves the panel by so many places; null where there is no other. */
  readonly onMove: ((by: number) => void) | null;
  /** Another panel was dropped here. */
  readonly onDrop: (userId: string) => void;
  readonly onChanged: () => void;
  readonly chosen: Chosen | null;
  readonly onChoose: (chosen: Chosen | null) => void;
}

export const DRAGGED = "application/x-spanflow-panel";
/** So many of the newest flows show their tree by themselves; what runs always does. */
const UNFOLDED = 1;

const ENDED: Readonly<Record<string, string>> = {
  expired: "The watch has expired. Watch again to go on.",
  disabled: "The watch was ended.",
  forbidden: "You may not follow this user.",
  reason_required: "This user is not watched. Watch them first, with a reason.",
};

/** One user's flows, newest first, growing while they happen. */
export function UserPanel({ userId, watched, compact, onClose, onMove, onDrop, onChanged, chosen, onChoose }: Props) {
  const id = useId();
  const name = useName(userId, watched);
  const expiresAt = watched?.expiresAt ?? null;
  const store = useLiveStore();
  const live = useFollowed(userId);
  const time = usePanelTime(live);
  const now = useNow(store.nowMs, 1000);
  const nowNs = BigInt(Math.round(now)) * 1_000_000n;
  const followed = live.ended === undefined;
  const isWatched = watched !== undefined;
  useEffect(() => {
    // The panel may have been opened before the watch began.
    if (isWatched && !followed) store.renew(userId);
  }, [isWatched, store, userId]);
  const { flows } = time;
  const starts = live.newestFirst().map((model) => model.startNs());
  const oldestNs = starts.findLast((start) => start !== undefined) ?? nowNs;
  const panel = useRef<HTMLElement>(null);
  const onGrip = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (by === undefined || onMove === null) return;
    event.preventDefault();
    onMove(by);
  };
  return (
    <section
      ref={panel}
      className={styles["panel"]}
      aria-labelledby={id}
      data-testid="panel"
      data-user-id={userId}
      onDragOver={(event) => event.dataTransfer.types.includes(DRAGGED) && event.preventDefault()}
      onDrop={(event) => onDrop(event.dataTransfer.getData(DRAGGED))}
    >
      <div className={styles["head"]}>
        {onMove !== null && (
          <button
            type="button"
            className={styles["grip"]}
            draggable
            aria-label={`Move the panel of ${name}: drag, or use the arrow keys`}
            onKeyDown={onGrip}
            onDragStart={(event) => {
              event.dataTransfer.setData(DRAGGED, userId);
              if (panel.current !== null) event.dataTransfer.setDragImage(panel.current, 20, 20);
            }}
            data-testid="panel-grip"
          >
            <GripVertical size={15} aria-hidden="true" />
          </button>
        )}
        <h2 id={id} className="truncate" title={`user ${userId}`}>
          {watched?.fullName ?? name}
        </h2>
        <PauseButton time={time} name={name} />
        {watched !== undefined && <WatchTools watched={watched} onChanged={onChanged} />}
        {onClose !== null && <IconButton icon={X} label={`Close the panel of ${name}`} onPress={onClose} />}
      </div>
      <div className={styles["facts"]}>
        <span className="truncate">{watched?.fullName != null ? (watched.email ?? "") : `user ${userId}`}</span>
        <span className={styles["left"]} data-testid="panel-left">
          {expiresAt === null ? "" : `${countdown(expiresAt, now)} left`}
        </span>
        <PanelState ended={live.ended} lastEventMs={live.lastEventMs} nowMs={now} />
      </div>
      <Rewind time={time} oldestNs={oldestNs} nowNs={nowNs} name={name} />
      {watched?.metadataOnly === true && (
        <p className={`${styles["note"]} quiet`} data-testid="panel-metadata-only">
          Watched without contents: you see what happens, not what is said.
        </p>
      )}
      {live.ended !== undefined && (
        <div className={styles["note"]}>
          <Notice kind="problem" testId="panel-ended">
            {ENDED[live.ended] ?? `No longer followed (${live.ended}).`}
          </Notice>
        </div>
      )}
      {flows.length === 0 && followed && (
        <p className={`${styles["note"]} quiet`} data-testid="panel-empty">
          {time.stoppedNs === null ? "No request is running. The next one appears here as it happens." : "Nothing had begun by then."}
        </p>
      )}
      {flows.map((model, index) => (
        <FlowCard
          key={model.flowId}
          model={model}
          version={time.stoppedNs === null ? live.version : 0}
          followed={followed}
          atNs={time.stoppedNs}
          unfolded={!compact && (index < UNFOLDED || model.open)}
          selected={chosen?.flowId === model.flowId ? chosen.nodeId : null}
          onSelect={(nodeId) => onChoose(nodeId === null ? null : { userId, flowId: model.flowId, nodeId })}
        />
      ))}
      <LastFlows userId={userId} without={live.flows} count={compact ? 2 : 5} />
      <p className={styles["note"]}>
        <Link to={to("flows", null, { user_id: userId })}>
          All flows<span className="visually-hidden"> of {name}</span>
        </Link>
      </p>
    </section>
  );
}
