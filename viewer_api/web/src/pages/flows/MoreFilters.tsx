import { SlidersHorizontal } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { Button } from "../../ui/Button";

const FilterDialog = lazy(() => import("./FilterDialog"));

const TYPED = ["tool", "mcp_server", "model", "checkpoint", "step", "gate", "outcome_reason", "source", "session_id", "conversation_id", "user", "team", "id"];
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
      <Suspense fallback={null}>{open && <FilterDialog typed={typed} numbers={numbers} onDone={() => setOpen(false)} />}</Suspense>
    </>
  );
}
