import { useCallback, useEffect, useId, useRef, type DragEvent } from "react";
import type { WatchedUser } from "../../api/monitoring";
import { FlowCard } from "../../components/FlowCard";
import { countdown } from "../../format";
import { useFollowed, useLiveStore } from "../../hooks/useLive";
import { useName } from "../../hooks/useName";
import { useNow } from "../../hooks/useNow";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { connectionOf } from "../../tree/connection";
import { Notice } from "../../ui/Notice";
import type { Chosen } from "./LiveDetails";
import { LastFlows } from "./LastFlows";
import { PanelEmpty } from "./PanelEmpty";
import { PanelState } from "./PanelState";
import { PanelHead } from "./PanelHead";
import { Rewind } from "./PanelTools";
import { useHeight } from "./useHeight";
import { usePanelTime } from "./usePanelTime";
import { useSeen } from "./useSeen";
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
  const flows = time.flows.filter((model) => connectionOf(model) === null);
  const connections = time.flows.flatMap((model) => (model.open ? (connectionOf(model) ?? []) : []));
  const onSelect = useCallback(
    (flowId: string, nodeId: string | null) => onChoose(nodeId === null ? null : { userId, flowId, nodeId }),
    [userId, onChoose],
  );
  const starts = live.newestFirst().map((model) => model.startNs());
  const oldestNs = starts.findLast((start) => start !== undefined) ?? nowNs;
  const panel = useRef<HTMLElement>(null);
  const body = useRef<HTMLDivElement>(null);
  useHeight(body);
  useSeen(panel, userId);
  const onDragStart = useCallback(
    (event: DragEvent) => {
      event.dataTransfer.setData(DRAGGED, userId);
      if (panel.current !== null) event.dataTransfer.setDragImage(panel.current, 20, 20);
    },
    [userId],
  );
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
      <PanelHead
        id={id}
        userId={userId}
        name={name}
        watched={watched}
        paused={time.stoppedNs !== null}
        onPause={time.toggle}
        onClose={onClose}
        onMove={onMove}
        onDragStart={onDragStart}
        onChanged={onChanged}
      />
      <div className={styles["facts"]}>
        <span className="truncate">{watched?.fullName != null ? (watched.email ?? "") : `user ${userId}`}</span>
        <span className={styles["left"]} data-testid="panel-left">
          {expiresAt === null ? "" : `${countdown(expiresAt, now)} left`}
        </span>
        <PanelState ended={live.ended} lastEventMs={live.lastEventMs} nowMs={now} />
      </div>
      <Rewind time={time} oldestNs={oldestNs} nowNs={nowNs} name={name} />
      <div ref={body} className={styles["body"]} data-testid="panel-body">
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
        {connections.length > 0 && (
          <p className={`${styles["note"]} quiet truncate`} title={connections.join(", ")} data-testid="panel-connections">
            Connected to {[...new Set(connections)].join(", ")}
          </p>
        )}
        {flows.length === 0 && followed && (
          <PanelEmpty stopped={time.stoppedNs !== null} />
        )}
        {flows.map((model, index) => (
          <FlowCard
            key={model.flowId}
            model={model}
            version={model.version}
            followed={followed}
            atNs={time.stoppedNs}
            unfolded={!compact && (index < UNFOLDED || model.open)}
            selected={chosen?.flowId === model.flowId ? chosen.nodeId : null}
            onSelect={onSelect}
          />
        ))}
        <LastFlows userId={userId} without={[...live.flows.keys()].join(" ")} count={compact ? 2 : 5} />
        <p className={styles["all"]}>
          <Link to={to("flows", null, { user_id: userId })}>
            All flows<span className="visually-hidden"> of {name}</span>
          </Link>
        </p>
      </div>
    </section>
  );
}
