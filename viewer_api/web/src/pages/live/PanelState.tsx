import { useLiveSnapshot } from "../../hooks/useLive";
import { relativeTime } from "../../format";
import type { ConnectionState } from "../../live/messages";
import styles from "./UserPanel.module.css";

interface Props {
  /** Why the viewer stopped following; undefined while it follows. */
  readonly ended: string | undefined;
  readonly lastEventMs: number | null;
  readonly nowMs: number;
}

const ENDED: Readonly<Record<string, string>> = {
  expired: "expired",
  disabled: "ended",
  forbidden: "no access",
  reason_required: "not watched",
};
const CONNECTION: Readonly<Record<ConnectionState, string>> = {
  idle: "connecting",
  connecting: "connecting",
  live: "live",
  interrupted: "interrupted",
  reconnecting: "reconnecting",
  "signed-out": "signed out",
  "rights-changed": "no access",
  refused: "no access",
};

/** How the following of one user is doing, and when something was heard last. */
export function PanelState({ ended, lastEventMs, nowMs }: Props) {
  const { state, retryAtMs } = useLiveSnapshot();
  const words = ended === undefined ? CONNECTION[state] : (ENDED[ended] ?? ended);
  const wait = words === "reconnecting" && retryAtMs !== null ? Math.max(Math.ceil((retryAtMs - Date.now()) / 1000), 0) : null;
  return (
    <span className={styles["state"]} data-testid="panel-state" data-state={words}>
      <span className={styles["dot"]} aria-hidden="true" />
      {words}
      {wait !== null && ` in ${wait} s`}
      {lastEventMs !== null && <span className="quiet"> · last event {relativeTime(new Date(lastEventMs).toISOString(), nowMs)}</span>}
    </span>
  );
}
