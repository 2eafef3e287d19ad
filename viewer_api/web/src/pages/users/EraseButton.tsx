import { Trash2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import type { Person } from "../../api/monitoring";
import { Button } from "../../ui/Button";

const EraseDialog = lazy(() => import("./EraseDialog"));

interface Props {
  readonly person: Person;
  readonly onErased: () => void;
  /** The receipt was read. */
  readonly onDone: () => void;
}

/** Leads to the erasure of a person: nothing is erased by this button alone. */
export function EraseButton({ person, onErased, onDone }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon={Trash2} onPress={() => setOpen(true)} testId="erase-user">
        Erase…
      </Button>
      <Suspense fallback={null}>{open && <EraseDialog person={person} onErased={onErased} onClose={() => setOpen(false)} onDone={onDone} />}</Suspense>
    </>
  );
}
