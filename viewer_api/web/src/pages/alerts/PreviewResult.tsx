import type { Preview } from "../../api/alerts";
import { duration } from "../../format";
import styles from "./AlertsPage.module.css";

const BEGINS: ReadonlySet<string> = new Set(["firing", "escalated"]);

/** How often a rule would have fired, and when. */
export function PreviewResult({ preview, days }: { readonly preview: Preview; readonly days: number }) {
  const from = Date.parse(preview.since);
  const length = Math.max(Date.parse(preview.until) - from, 1);
  const place = (iso: string) => `${Math.min(Math.max(((Date.parse(iso) - from) / length) * 100, 0), 100)}%`;
  const times = preview.fired === 1 ? "once" : `${preview.fired.toLocaleString()} times`;
  return (
    <div className={styles["preview"]} role="status" data-testid="preview">
      <p>
        {preview.fired === 0 ? (
          <>In the last {days} days it would not have fired.</>
        ) : (
          <>
            In the last {days} days it would have fired <strong>{times}</strong>, for {duration(preview.active_seconds * 1000)} together, and sent{" "}
            {preview.notifications.toLocaleString()} {preview.notifications === 1 ? "notification" : "notifications"}.
          </>
        )}{" "}
        <span className="quiet">
          {preview.flows.toLocaleString()} flows were looked at
          {preview.shortened && ", the newest"}.
        </span>
      </p>
      <span className={styles["strip"]} aria-hidden="true">
        {preview.events.map(({ at, kind }) => (
          <span key={`${at} ${kind}`} className={styles["mark"]} data-begins={BEGINS.has(kind)} style={{ left: place(at) }} />
        ))}
      </span>
    </div>
  );
}
