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

function FilterForm({ typed, numbers, onDone }: Props) {
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
