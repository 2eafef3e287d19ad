import { lazy, Suspense, useState } from "react";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Select, type Choice } from "../../ui/Field";
import { RANGES, USUAL_RANGE } from "./filters";

const RangeDialog = lazy(() => import("./RangeDialog"));

const CUSTOM = "custom";

interface Props {
  /** The range while the address names none. */
  readonly usual?: string;
  readonly ranges?: readonly Choice[];
  readonly title?: string;
}

/** From when to when: one of the usual ranges, or two moments. A flow is in a range when any moment of it is. */
export function TimeRange({ usual = USUAL_RANGE, ranges = RANGES, title = "Flows that ran between" }: Props) {
  const { route, change } = useNavigation();
  const [open, setOpen] = useState(false);
  const since = one(route.query, "since");
  const until = one(route.query, "until");
  const custom = since !== null || until !== null;
  const choose = (range: string) => {
    if (range === CUSTOM) setOpen(true);
    else change({ range: range === usual ? null : range, since: null, until: null });
  };
  return (
    <>
      <Select
        label="Time"
        hideLabel
        choices={[...ranges, { id: CUSTOM, text: custom ? `${said(since) ?? "…"} – ${said(until) ?? "now"}` : "From … to …" }]}
        value={custom ? CUSTOM : (one(route.query, "range") ?? usual)}
        onChange={choose}
        testId="time-range"
      />
      <Suspense fallback={null}>{open && <RangeDialog title={title} since={since} until={until} onDone={() => setOpen(false)} />}</Suspense>
    </>
  );
}

function said(iso: string | null): string | null {
  if (iso === null) return null;
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return date.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}
