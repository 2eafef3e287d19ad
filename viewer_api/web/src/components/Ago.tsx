import { dateTime, relativeTime, utcTime } from "../format";
import { useNow } from "../hooks/useNow";

/** A moment as people say it, with the exact one (here and in UTC) on hover. */
export function Ago({ iso }: { readonly iso: string }) {
  const now = useNow(Date.now, 15_000);
  return (
    <time dateTime={iso} title={`${dateTime(iso)}\n${utcTime(iso)}`}>
      {relativeTime(iso, now)}
    </time>
  );
}
