import { GitCompare } from "lucide-react";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import styles from "./CompareBar.module.css";

interface Props {
  readonly chosen: readonly string[];
  readonly onClear: () => void;
}

/** Floats above the list while flows are ticked. */
export default function CompareBar({ chosen, onClear }: Props) {
  const { go } = useNavigation();
  const [a, b] = chosen;
  if (a === undefined) return null;
  return (
    <div className={styles["bar"]} role="region" aria-label="Compare" data-testid="compare-bar">
      <span role="status">{b === undefined ? "Tick another flow to compare it with" : "2 flows"}</span>
      <Button look="main" icon={GitCompare} isDisabled={b === undefined} onPress={() => b !== undefined && go(to("compare", null, { a, b }))}>
        Compare
      </Button>
      <Button look="plain" onPress={onClear}>
        Clear
      </Button>
    </div>
  );
}
