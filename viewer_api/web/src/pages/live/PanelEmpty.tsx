import { useLiveSnapshot } from "../../hooks/useLive";
import styles from "./UserPanel.module.css";

/** What a panel without a flow says. Apart from the panel, which must not be drawn anew with the state of the connection. */
export function PanelEmpty({ stopped }: { stopped: boolean }) {
  const { state } = useLiveSnapshot();
  const now = state === "live" ? "No request is running. The next one appears here as it happens." : "Not connected: what is running is not known.";
  return (
    <p className={`${styles["note"]} quiet`} data-testid="panel-empty">
      {stopped ? "Nothing had started yet at this moment." : now}
    </p>
  );
}
