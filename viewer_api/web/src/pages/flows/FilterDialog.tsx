import { useState, type FormEvent } from "react";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { TextField } from "../../ui/Field";
import { FILTER_LABELS } from "./filters";
import styles from "./FilterBar.module.css";

interface Props {
  readonly typed: readonly string[];
  readonly numbers: readonly string[];
  readonly onDone: () => void;
}

/** A field for each filter. */
export default function FilterDialog(props: Props) {
  return (
    <Dialog title="Filters" open onClose={props.onDone} wide>
      <FilterForm {...props} />
    </Dialog>
  );
}

/** A step is one value: its name may be of any kind. */
const valuesOf = (name: string, text: string): readonly string[] => (name === "step" ? [text] : text.split(",")).map((each) => each.trim());

function FilterForm({ typed, numbers, onDone }: Props) {
  const { route, change } = useNavigation();
  const shown = (name: string) => several(route.query, name).join(", ");
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>(() => Object.fromEntries([...typed, ...numbers].map((name) => [name, shown(name)])));
  const text = (name: string) => ({ value: texts[name] ?? "", onChange: (value: string) => setTexts({ ...texts, [name]: value }) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    // What was left as it was may have commas of its own.
    const texted = typed.map((name) => [name, texts[name] === shown(name) ? several(route.query, name) : valuesOf(name, texts[name] ?? "")] as const);
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
      </div>
      <div className={styles["form"]}>
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
