import { SlidersHorizontal } from "lucide-react";
import { useState, type FormEvent } from "react";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { TextField } from "../../ui/Field";
import { Dialog } from "../../ui/Overlay";
import { FILTERS } from "./filters";
import styles from "./FilterBar.module.css";

const TYPED = ["tool", "mcp_server", "model", "checkpoint", "gate", "outcome_reason", "source", "session_id", "conversation_id", "user"];
const NUMBERS = ["min_duration_ms", "max_duration_ms", "min_tokens", "min_cost"];

/** Every other filter that the viewer has. Several values of one filter are separated by commas. */
export function MoreFilters() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon={SlidersHorizontal} onPress={() => setOpen(true)} testId="more-filters">
        Filters
      </Button>
      <Dialog title="Filters" open={open} onClose={() => setOpen(false)} wide>
        <FilterForm onDone={() => setOpen(false)} />
      </Dialog>
    </>
  );
}

function FilterForm({ onDone }: { readonly onDone: () => void }) {
  const { route, change } = useNavigation();
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries([...TYPED, ...NUMBERS].map((name) => [name, several(route.query, name).join(", ")])),
  );
  const text = (name: string) => ({ value: texts[name] ?? "", onChange: (value: string) => setTexts({ ...texts, [name]: value }) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const typed = TYPED.map((name) => [name, (texts[name] ?? "").split(",").map((each) => each.trim())] as const);
    const others = NUMBERS.map((name) => [name, (texts[name] ?? "").trim()] as const);
    change({ ...Object.fromEntries(typed), ...Object.fromEntries(others) });
    onDone();
  };
  return (
    <form onSubmit={submit}>
      <div className={styles["form"]}>
        {TYPED.map((name) => (
          <TextField key={name} label={FILTERS[name] ?? name} {...text(name)} testId={`filter-${name}`} />
        ))}
        {NUMBERS.map((name) => (
          <TextField key={name} label={FILTERS[name] ?? name} type="number" min={0} step="any" {...text(name)} testId={`filter-${name}`} />
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
