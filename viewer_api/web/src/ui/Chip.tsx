import { X } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "react-aria-components";
import styles from "./Chip.module.css";

/** Only what has a meaning has a colour: a tool, and how something ended. */
export type Look = "tool" | "ok" | "warning" | "denied" | "error";

interface Props {
  readonly children: ReactNode;
  readonly title?: string;
  readonly look?: Look | undefined;
}

/** A short fact in a line of them. */
export function Chip({ children, title, look }: Props) {
  return (
    <span className={`${styles["chip"]} truncate`} data-look={look} title={title}>
      {children}
    </span>
  );
}

export function Chips({ children, title }: { readonly children: ReactNode; readonly title?: string }) {
  return (
    <span className={styles["chips"]} title={title}>
      {children}
    </span>
  );
}

interface FilterProps {
  readonly name: ReactNode;
  readonly children: ReactNode;
  /** What the button is called that takes it away. */
  readonly remove: string;
  readonly onRemove: () => void;
  readonly testId: string;
}

/** A filter that can be taken away. */
export function FilterChip({ name, children, remove, onRemove, testId }: FilterProps) {
  return (
    <span className={styles["filter"]} data-testid={testId}>
      <span className="quiet">{name}</span> <span className="truncate">{children}</span>
      <Button aria-label={remove} onPress={onRemove} className={styles["remove"] ?? ""}>
        <X size={13} aria-hidden="true" />
      </Button>
    </span>
  );
}
