import { verdictWords } from "../api/notes";
import { Chip, type Look } from "../ui/Chip";

const LOOKS: Readonly<Record<string, Look>> = { good: "ok", bad: "error", needs_look: "warning" };

/** What operators think of a flow. */
export function VerdictChip({ verdict }: { readonly verdict: string }) {
  return (
    <span data-testid="verdict-chip">
      <Chip look={LOOKS[verdict]} title="The verdict of an operator">
        {verdictWords(verdict)}
      </Chip>
    </span>
  );
}
