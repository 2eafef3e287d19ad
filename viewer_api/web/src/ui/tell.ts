import { UNSTABLE_ToastQueue as ToastQueue } from "react-aria-components";

interface Told {
  readonly text: string;
  readonly undo?: () => void;
}

/** What the corner of the page shows. */
export const queue = new ToastQueue<Told>({ maxVisibleToasts: 3 });

/** Say that something was done; with `undo`, offer to take it back. */
export function tell(text: string, undo?: () => void): void {
  queue.add(undo === undefined ? { text } : { text, undo }, { timeout: 7000 });
}
