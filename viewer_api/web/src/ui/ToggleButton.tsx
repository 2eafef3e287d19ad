import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { ToggleButton as AriaToggleButton } from "react-aria-components";
import styles from "./Button.module.css";

interface Props {
  readonly on: boolean;
  readonly onChange: (on: boolean) => void;
  readonly icon?: LucideIcon;
  readonly children: ReactNode;
  readonly testId?: string;
}

/** A button that stays pressed. */
export function ToggleButton({ on, onChange, icon: Icon, children, testId }: Props) {
  return (
    <AriaToggleButton isSelected={on} onChange={onChange} className={`${styles["button"]} ${styles["toggle"]}`} data-testid={testId}>
      {Icon !== undefined && <Icon size={15} aria-hidden="true" />}
      {children}
    </AriaToggleButton>
  );
}
