import { useLiveSnapshot } from "../hooks/useLive";
import styles from "./ConnectionBadge.module.css";
import type { ConnectionState } from "../live/messages";

const WORDS: Readonly<Record<ConnectionState, string>> = {
  idle: "No live feed open",
  connecting: "Connecting…",
  live: "Live",
  interrupted: "Live data interrupted: the viewer's Redis is away",
  reconnecting: "Connection lost, trying again…",
  "signed-out": "Signed out",
  "rights-changed": "Your rights have changed",
  refused: "You may not follow users live",
};

/** How the one live connection is doing; screen readers hear of each change. */
export function ConnectionBadge() {
  const { state } = useLiveSnapshot();
  return (
    <span className={styles["connection"]} role="status" data-testid="connection" data-state={state}>
      <span className={styles["dot"]} aria-hidden="true" />
      {WORDS[state]}
    </span>
  );
}
