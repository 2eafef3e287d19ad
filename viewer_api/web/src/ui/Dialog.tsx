import type { ReactNode } from "react";
import { X } from "lucide-react";
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { IconButton } from "./Button";
import styles from "./Overlay.module.css";

interface DialogProps {
  readonly title: string;
  readonly open: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly wide?: boolean;
  readonly testId?: string;
}

/** A window above the page; Escape and a click outside close it. */
export function Dialog({ title, open, onClose, children, wide = false, testId }: DialogProps) {
  return (
    <ModalOverlay isDismissable isOpen={open} onOpenChange={(now) => !now && onClose()} className={styles["overlay"] ?? ""}>
      <Modal className={`${styles["modal"]} ${wide ? styles["wide"] : ""}`}>
        <AriaDialog className={styles["dialog"] ?? ""} data-testid={testId}>
          <header className={styles["head"]}>
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            <IconButton icon={X} label="Close" onPress={onClose} />
          </header>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
