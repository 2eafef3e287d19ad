import { UNSTABLE_Toast as Toast, UNSTABLE_ToastContent as ToastContent, UNSTABLE_ToastRegion as ToastRegion, Text } from "react-aria-components";
import { X } from "lucide-react";
import { Button, IconButton } from "./Button";
import { queue } from "./tell";
import styles from "./Toasts.module.css";

/** What was said, at the corner of the page. */
export default function Toasts() {
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
