import { History, X } from "lucide-react";
import { useEffect, useId } from "react";
import type { WatchedUser } from "../../api/monitoring";
import { FlowCard } from "../../components/FlowCard";
import { countdown } from "../../format";
import { useFollowed, useLiveStore } from "../../hooks/useLive";
import { useName } from "../../hooks/useName";
import { useNow } from "../../hooks/useNow";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { IconButton } from "../../ui/Button";
import { Notice } from "../../ui/Notice";
import type { Chosen } from "./LiveDetails";
import { LastFlows } from "./LastFlows";
import styles from "./LivePage.module.css";

interface Props {
  readonly userId: string;
  /** As the list of watched users has them; undefined for who is not watched. */
  readonly watched: WatchedUser | undefined;
  /** Null for a panel that stays. */
  readonly onClose: (() => void) | null;
  readonly chosen: Chosen | null;
  readonly onChoose: (chosen: Chosen | null) => void;
}

/** So many of the newest flows show their tree by themselves; what runs always does. */
const UNFOLDED = 2;

const ENDED: Readonly<Record<string, string>> = {
  expired: "The watch has expired. Watch again to go on.",
  disabled: "The watch was ended.",
  forbidden: "You may not follow this user.",
  reason_required: "This user is not watched. Watch them first, with a reason.",
};

/** One user's flows, newest first, growing while they happen. */
export function UserPanel({ userId, watched, onClose, chosen, onChoose }: Props) {
  const id = useId();
  const { go } = useNavigation();
  const name = useName(userId, watched);
  const expiresAt = watched?.expiresAt ?? null;
  const store = useLiveStore();
  const live = useFollowed(userId);
  const now = useNow(store.nowMs, 1000);
  const followed = live.ended === undefined;
  const isWatched = watched !== undefined;
  useEffect(() => {
    // The panel may have been opened before the watch began.
    if (isWatched && !followed) store.renew(userId);
  }, [isWatched, store, userId]);
  const flows = live.newestFirst().filter((model) => model.size > 0);
  return (
    <section className={styles["panel"]} aria-labelledby={id} data-testid="panel" data-user-id={userId}>
      <div className={styles["head"]}>
        <h2 id={id} className="truncate" title={`user ${userId}`}>
          {name}
        </h2>
        <span className="quiet" data-testid="panel-left">
          {expiresAt === null ? "" : `${countdown(expiresAt, now)} left`}
        </span>
        <IconButton icon={History} label={`Past flows of ${name}`} onPress={() => go(to("flows", null, { user_id: userId }))} />
        {onClose !== null && <IconButton icon={X} label={`Close the panel of ${name}`} onPress={onClose} />}
      </div>
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
        <div className={styles["note"]} data-testid="panel-empty">
          <p className="quiet">No request is running. The next one appears here as it happens.</p>
          <LastFlows userId={userId} />
        </div>
      )}
      {flows.map((model, index) => (
        <FlowCard
          key={model.flowId}
          model={model}
          version={live.version}
          followed={followed}
          unfolded={index < UNFOLDED || model.open}
          selected={chosen?.flowId === model.flowId ? chosen.nodeId : null}
          onSelect={(nodeId) => onChoose(nodeId === null ? null : { userId, flowId: model.flowId, nodeId })}
        />
      ))}
      {flows.length > 0 && (
        <p className={styles["note"]}>
          <Link to={to("flows", null, { user_id: userId })}>All flows of {name}</Link>
        </p>
      )}
    </section>
  );
}
