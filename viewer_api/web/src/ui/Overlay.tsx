import type { ReactNode } from "react";
import {
  Dialog as AriaDialog,
  DialogTrigger,
  Menu as AriaMenu,
  MenuItem as AriaMenuItem,
  MenuTrigger,
  Popover,
} from "react-aria-components";
import styles from "./Overlay.module.css";

export interface MenuEntry {
  readonly id: string;
  readonly text: string;
  readonly hint?: string;
  readonly onAction: () => void;
}

interface MenuProps {
  /** The button that opens it. */
  readonly children: ReactNode;
  readonly entries: readonly MenuEntry[];
  readonly label: string;
}

export function Menu({ children, entries, label }: MenuProps) {
  return (
    <MenuTrigger>
      {children}
      <Popover className={styles["popover"] ?? ""} offset={4}>
        <AriaMenu
          aria-label={label}
          className={styles["menu"] ?? ""}
          onAction={(key) => entries.find((entry) => entry.id === key)?.onAction()}
        >
          {entries.map((entry) => (
            <AriaMenuItem key={entry.id} id={entry.id} textValue={entry.text} className={styles["item"] ?? ""}>
              <span>{entry.text}</span>
              {entry.hint !== undefined && <span className="quiet">{entry.hint}</span>}
            </AriaMenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

interface DropdownProps {
  /** The button that opens it. */
  readonly trigger: ReactNode;
  readonly label: string;
  readonly children: ReactNode;
  readonly testId?: string;
}

/** A small window at a button, for what is more than a menu. */
export function Dropdown({ trigger, label, children, testId }: DropdownProps) {
  return (
    <DialogTrigger>
      {trigger}
      <Popover className={styles["popover"] ?? ""} offset={4}>
        <AriaDialog aria-label={label} className={styles["dropdown"] ?? ""} data-testid={testId}>
          {children}
        </AriaDialog>
      </Popover>
    </DialogTrigger>
  );
}
