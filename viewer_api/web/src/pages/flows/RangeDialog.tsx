import { useState, type FormEvent } from "react";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { TextField } from "../../ui/Field";
import styles from "./FilterBar.module.css";

interface Props {
  readonly title: string;
  readonly since: string | null;
  readonly until: string | null;
  readonly onDone: () => void;
}

/** Two moments of one's own. */
export default function RangeDialog({ title, ...moments }: Props) {
  return (
    <Dialog title={title} open onClose={moments.onDone}>
      <Moments {...moments} />
    </Dialog>
  );
}

function Moments({ since, until, onDone }: Omit<Props, "title">) {
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
      <div className={`${styles["form"]} ${styles["moments"]}`}>
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

/** A moment as the browser's field for date and time wants it. */
function local(iso: string | null): string {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const iso = (text: string): string | null => (text === "" ? null : new Date(text).toISOString());
