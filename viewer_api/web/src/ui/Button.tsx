import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { Button as AriaButton, Tooltip, TooltipTrigger, type ButtonProps } from "react-aria-components";
import styles from "./Button.module.css";

export interface Props extends Omit<ButtonProps, "className" | "children" | "style"> {
  /** `plain` has no border, `main` is the one thing to do here, `danger` cannot be undone. */
  readonly look?: "usual" | "plain" | "main" | "danger";
  readonly icon?: LucideIcon;
  readonly children?: ReactNode;
  readonly testId?: string;
}

export function Button({ look = "usual", icon: Icon, children, testId, ...props }: Props) {
  return (
    <AriaButton {...props} className={`${styles["button"]} ${styles[look]}`} data-testid={testId}>
      {Icon !== undefined && <Icon size={15} aria-hidden="true" />}
      {children}
    </AriaButton>
  );
}

interface IconProps extends Omit<Props, "children" | "icon"> {
  readonly icon: LucideIcon;
  /** What it does: its name for screen readers, and its tooltip. */
  readonly label: string;
  readonly keys?: string;
}

/** A button that shows a sign only. */
export function IconButton({ icon: Icon, label, keys, look = "plain", testId, ...props }: IconProps) {
  return (
    <TooltipTrigger delay={500}>
      <AriaButton
        {...props}
        aria-label={label}
        className={`${styles["button"]} ${styles[look]} ${styles["icon"]}`}
        data-testid={testId}
      >
        <Icon size={16} aria-hidden="true" />
      </AriaButton>
      <Tooltip className={styles["tooltip"] ?? ""} offset={6}>
        {label}
        {keys !== undefined && <kbd>{keys}</kbd>}
      </Tooltip>
    </TooltipTrigger>
  );
}
