import { X } from "lucide-react";
import { Button as AriaButton } from "react-aria-components";
import { useName } from "../../hooks/useName";
import { several } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { FILTER_LABELS, filterText } from "./filters";
import styles from "./FilterBar.module.css";

interface Props {
  /** Whose flows are shown, for a session that sees its own only; null otherwise. */
  readonly own: string | null;
  /** Filters that stand elsewhere on the page. */
  readonly without?: readonly string[];
  /** Nothing stands here while there are no chips. */
  readonly onlyChips?: boolean;
}

const BUTTONS = ["outcome"];

/** What narrows the page, one chip for each value, to be taken away. */
export function FilterChips({ own, without = BUTTONS, onlyChips = false }: Props) {
  const { route, change, go } = useNavigation();
  const { query } = route;
  const chips = Object.keys(FILTER_LABELS)
    .filter((name) => !without.includes(name) && !(own !== null && name === "user_id"))
    .flatMap((name) => several(query, name).map((value) => ({ name, value })));
  if ((onlyChips ? chips : Object.keys(query)).length === 0) return null;
  return (
    <div className={styles["line"]}>
      {chips.map(({ name, value }) => (
        <Chip
          key={`${name} ${value}`}
          name={name}
          value={value}
          onRemove={() => change({ [name]: several(query, name).filter((other) => other !== value) })}
        />
      ))}
      <Button look="plain" onPress={() => go({ ...route, query: {} })} testId="clear-filters">
        Clear all
      </Button>
    </div>
  );
}

interface ChipProps {
  readonly name: string;
  readonly value: string;
  readonly onRemove: () => void;
}

function Chip({ name, value, onRemove }: ChipProps) {
  const text = name === "user_id" ? <UserName userId={value} /> : filterText(name, value);
  return (
    <span className={styles["chip"]} data-testid="filter-chip">
      <span className="quiet">{FILTER_LABELS[name]}</span> <span className="truncate">{text}</span>
      <AriaButton aria-label={`Remove the filter ${FILTER_LABELS[name]} ${value}`} onPress={onRemove} className={styles["remove"] ?? ""}>
        <X size={13} aria-hidden="true" />
      </AriaButton>
    </span>
  );
}

function UserName({ userId }: { readonly userId: string }) {
  return useName(userId, undefined);
}
