import { useState, type FormEvent } from "react";
import { one } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Select, TextField, type Choice } from "../../ui/Field";
import { Dialog } from "../../ui/Overlay";
import { RANGES, USUAL_RANGE } from "./filters";
import styles from "./FilterBar.module.css";

const CUSTOM = "custom";

interface Props {
  /** The range while the address names none. */
  readonly usual?: string;
  readonly ranges?: readonly Choice[];
  readonly title?: string;
}

/** From when to when: one of the usual ranges, or two moments. A flow is in a range when any moment of it is. */
export function TimeRange({ usual = USUAL_RANGE, ranges = RANGES, title = "Flows of which any moment lies between" }: Props) {
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
      <Dialog title={title} open={open} onClose={() => setOpen(false)}>
        <Moments since={since} until={until} onDone={() => setOpen(false)} />
      </Dialog>
    </>
  );
}

function Moments({ since, until, onDone }: { readonly since: string | null; readonly until: string | null; readonly onDone: () => void }) {
  const { change } = useNavigation();
  const [from, setFrom] = useState(local(since));
  const [to, setTo] = useState(local(until));
  const wrong = from !== "" && to !== "" && from >= to;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wrong) return;
    change({ range: null, since: iso(from), until: iso(to) });
    onDone();
  };
  return (
    <form onSubmit={submit}>
      <div className={styles["form"]}>
        <TextField label="From" type="datetime-local" value={from} onChange={setFrom} testId="range-from" />
        <TextField label="To (empty: now)" type="datetime-local" value={to} onChange={setTo} testId="range-to" />
      </div>
      {wrong && <p role="alert">The end has to be after the beginning.</p>}
      <div className={styles["buttons"]}>
        <Button onPress={onDone}>Cancel</Button>
        <Button look="main" type="submit" isDisabled={wrong}>
          Apply
        </Button>
      </div>
    </form>
  );
}

function said(iso: string | null): string | null {
  if (iso === null) return null;
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return date.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
}

/** A moment as the browser's field for date and time wants it. */
function local(iso: string | null): string {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const iso = (text: string): string | null => (text === "" ? null : new Date(text).toISOString());
