import { useId } from "react";
import type { WatchedUser } from "../api/monitoring";
import { until } from "../format";
import { useFollowed, useLiveStore } from "../hooks/useLive";
import { useName } from "../hooks/useName";
import { useNow } from "../hooks/useNow";
import { FlowCard } from "./FlowCard";

interface Props {
  readonly userId: string;
  /** As the list of watched users has them; undefined for who is not watched. */
  readonly watched: WatchedUser | undefined;
  /** Null for a panel that stays. */
  readonly onClose: (() => void) | null;
  readonly onHistory: () => void;
}

/** So many of the newest flows show their tree by themselves; what runs always does. */
const UNFOLDED = 2;

const ENDED: Readonly<Record<string, string>> = {
  expired: "The watch has expired. Watch again to go on.",
  disabled: "Somebody ended the watch.",
  forbidden: "You may not follow this user.",
  reason_required: "This user is not watched. Watch them first, with a reason.",
};

/** One user's flows, newest first, growing while they happen. */
export function UserPanel({ userId, watched, onClose, onHistory }: Props) {
  const id = useId();
  const name = useName(userId, watched);
  const expiresAt = watched?.expiresAt ?? null;
  const store = useLiveStore();
  const live = useFollowed(userId);
  const now = useNow(store.nowMs, 30_000);
  const flows = live.newestFirst().filter((model) => model.size > 0);
  return (
    <section className="panel card" aria-labelledby={id} data-testid="panel" data-user-id={userId}>
      <div className="panel-head">
        <h2 id={id}>{name}</h2>
        <span className="quiet">{expiresAt === null ? "" : `${until(expiresAt, now)} left`}</span>
        <button type="button" onClick={onHistory} aria-label={`Past flows of ${name}`}>
          History
        </button>
        {onClose !== null && (
          <button type="button" onClick={onClose} aria-label={`Close the panel of ${name}`}>
            ✕
          </button>
        )}
      </div>
      {watched?.metadataOnly === true && (
        <p className="quiet" data-testid="panel-metadata-only">
          Watched without contents: you see what happens, not what is said.
        </p>
      )}
      {live.ended !== undefined && (
        <p role="alert" className="alert" data-testid="panel-ended">
          {ENDED[live.ended] ?? `Not followed any more (${live.ended}).`}
        </p>
      )}
      {flows.length === 0 && live.ended === undefined && (
        <p className="quiet" data-testid="panel-empty">
          No request is running. The next one appears here while it happens; past ones are under History.
        </p>
      )}
      {flows.map((model, index) => (
        <FlowCard key={model.flowId} model={model} version={live.version} unfolded={index < UNFOLDED || model.open} />
      ))}
    </section>
  );
}
