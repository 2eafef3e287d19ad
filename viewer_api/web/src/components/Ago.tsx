import { usePreferences } from "../app/preferences";
import { dateTime, relativeTime, utcTime } from "../format";
import { useNow } from "../hooks/useNow";

/** A moment as this person wants moments written, with the exact one (here and in UTC) on hover. */
export function Ago({ iso }: { readonly iso: string }) {
  const { times } = usePreferences();
  const now = useNow(Date.now, times === "relative" ? 15_000 : null);
  const text = times === "relative" ? relativeTime(iso, now) : times === "utc" ? utcTime(iso) : dateTime(iso);
  return (
    <time dateTime={iso} title={`${dateTime(iso)}\n${utcTime(iso)}`}>
      {text}
    </time>
  );
}
