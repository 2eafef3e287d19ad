import { SlidersHorizontal } from "lucide-react";
import { useState, type FormEvent } from "react";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { TextField } from "../../ui/Field";
import { Dialog } from "../../ui/Overlay";
import { FILTER_LABELS } from "./filters";
import styles from "./FilterBar.module.css";

const TYPED = ["tool", "mcp_server", "model", "checkpoint", "gate", "outcome_reason", "source", "session_id", "conversation_id", "user", "team"];
const NUMBERS = ["min_duration_ms", "max_duration_ms", "min_tokens", "max_tokens", "min_cost", "max_cost"];

interface Props {
  /** Names of filters that are texts, and of those that are numbers. */
  readonly typed?: readonly string[];
  readonly numbers?: readonly string[];
}

/** Every other filter that the viewer has. Several values of one filter are separated by commas. */
export function MoreFilters({ typed = TYPED, numbers = NUMBERS }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon={SlidersHorizontal} onPress={() => setOpen(true)} testId="more-filters">
        Filters
      </Button>
      <Dialog title="Filters" open={open} onClose={() => setOpen(false)} wide>
        <FilterForm typed={typed} numbers={numbers} onDone={() => setOpen(false)} />
      </Dialog>
    </>
  );
}

function FilterForm({ typed, numbers, onDone }: Required<Props> & { readonly onDone: () => void }) {
  const { route, change } = useNavigation();
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries([...typed, ...numbers].map((name) => [name, several(route.query, name).join(", ")])),
  );
  const text = (name: string) => ({ value: texts[name] ?? "", onChange: (value: string) => setTexts({ ...texts, [name]: value }) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const texted = typed.map((name) => [name, (texts[name] ?? "").split(",").map((each) => each.trim())] as const);
    const counted = numbers.map((name) => [name, (texts[name] ?? "").trim()] as const);
    change({ ...Object.fromEntries(texted), ...Object.fromEntries(counted) });
    onDone();
  };
  return (
    <form onSubmit={submit}>
      <div className={styles["form"]}>
        {typed.map((name) => (
          <TextField key={name} label={FILTER_LABELS[name] ?? name} {...text(name)} testId={`filter-${name}`} />
        ))}
        {numbers.map((name) => (
          <TextField key={name} label={FILTER_LABELS[name] ?? name} type="number" min={0} step="any" {...text(name)} testId={`filter-${name}`} />
        ))}
      </div>
      <div className={styles["buttons"]}>
        <Button onPress={onDone}>Cancel</Button>
        <Button look="main" type="submit">
          Apply
        </Button>
      </div>
    </form>
  );
}
