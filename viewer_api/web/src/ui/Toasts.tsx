import { UNSTABLE_Toast as Toast, UNSTABLE_ToastContent as ToastContent, UNSTABLE_ToastQueue as ToastQueue, UNSTABLE_ToastRegion as ToastRegion, Text } from "react-aria-components";
import { X } from "lucide-react";
import { Button, IconButton } from "./Button";
import styles from "./Toasts.module.css";

interface Told {
  readonly text: string;
  readonly undo?: () => void;
}

const queue = new ToastQueue<Told>({ maxVisibleToasts: 3 });

/** Say that something was done; with `undo`, offer to take it back. */
export function tell(text: string, undo?: () => void): void {
  queue.add(undo === undefined ? { text } : { text, undo }, { timeout: 7000 });
}

export function Toasts() {
  return (
    <ToastRegion queue={queue} className={styles["region"] ?? ""}>
      {({ toast }) => (
        <Toast toast={toast} className={styles["toast"] ?? ""}>
          <ToastContent className={styles["content"] ?? ""}>
            <Text slot="title">{toast.content.text}</Text>
          </ToastContent>
          {toast.content.undo !== undefined && (
            <Button
              look="plain"
              onPress={() => {
                toast.content.undo?.();
                queue.close(toast.key);
              }}
            >
              Undo
            </Button>
          )}
          <IconButton icon={X} label="Dismiss" onPress={() => queue.close(toast.key)} />
        </Toast>
      )}
    </ToastRegion>
  );
}
