import type { ReactNode } from "react";
import {
  Checkbox as AriaCheckbox,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  Select as AriaSelect,
  SelectValue,
  Button as AriaButton,
  Text,
  TextArea as AriaTextArea,
  TextField as AriaTextField,
  type TextFieldProps,
} from "react-aria-components";
import { Check, ChevronDown } from "lucide-react";
import styles from "./Field.module.css";

interface TextProps extends Omit<TextFieldProps, "className" | "children" | "style"> {
  readonly label: string;
  readonly hideLabel?: boolean;
  readonly placeholder?: string;
  readonly hint?: ReactNode;
  readonly testId?: string;
  readonly step?: string;
  readonly min?: number;
  readonly max?: number;
}

export function TextField({ label, hideLabel = false, placeholder, hint, testId, step, min, max, ...props }: TextProps) {
  return (
    <AriaTextField {...props} className={styles["field"] ?? ""}>
      <Label className={hideLabel ? "visually-hidden" : (styles["label"] ?? "")}>{label}</Label>
      <Input
        className={styles["input"] ?? ""}
        data-testid={testId}
        {...(placeholder === undefined ? {} : { placeholder })}
        {...(step === undefined ? {} : { step })}
        {...(min === undefined ? {} : { min })}
        {...(max === undefined ? {} : { max })}
      />
      {hint !== undefined && (
        <Text slot="description" className={styles["hint"] ?? ""}>
          {hint}
        </Text>
      )}
      <FieldError className={styles["error"] ?? ""} />
    </AriaTextField>
  );
}

interface AreaProps extends Omit<TextFieldProps, "className" | "children" | "style"> {
  readonly label: string;
  readonly rows: number;
  readonly testId?: string;
}

/** A text of several lines. */
export function TextArea({ label, rows, testId, ...props }: AreaProps) {
  return (
    <AriaTextField {...props} className={styles["field"] ?? ""}>
      <Label className={styles["label"] ?? ""}>{label}</Label>
      <AriaTextArea className={`${styles["input"]} ${styles["area"]}`} rows={rows} data-testid={testId} />
      <FieldError className={styles["error"] ?? ""} />
    </AriaTextField>
  );
}

export interface Choice {
  readonly id: string;
  readonly text: string;
}

interface SelectProps {
  readonly label: string;
  readonly hideLabel?: boolean;
  readonly choices: readonly Choice[];
  readonly value: string;
  readonly onChange: (id: string) => void;
  readonly testId?: string;
}

export function Select({ label, hideLabel = false, choices, value, onChange, testId }: SelectProps) {
  return (
    <AriaSelect className={styles["field"] ?? ""} value={value} onChange={(key) => onChange(String(key))}>
      <Label className={hideLabel ? "visually-hidden" : (styles["label"] ?? "")}>{label}</Label>
      <AriaButton className={`${styles["input"]} ${styles["select"]}`} data-testid={testId}>
        <SelectValue className="truncate" />
        <ChevronDown size={14} aria-hidden="true" />
      </AriaButton>
      <Popover className={styles["popover"] ?? ""} offset={4}>
        <ListBox className={styles["list"] ?? ""} items={choices}>
          {(choice) => (
            <ListBoxItem id={choice.id} textValue={choice.text} className={styles["item"] ?? ""}>
              {({ isSelected }) => (
                <>
                  <span className={styles["tick"]}>{isSelected && <Check size={14} aria-hidden="true" />}</span>
                  {choice.text}
                </>
              )}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

interface CheckboxProps {
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly children?: ReactNode;
  readonly label?: string;
  readonly disabled?: boolean;
  readonly testId?: string;
}

export function Checkbox({ checked, onChange, children, label, disabled = false, testId }: CheckboxProps) {
  return (
    <AriaCheckbox
      className={styles["checkbox"] ?? ""}
      isSelected={checked}
      onChange={onChange}
      isDisabled={disabled}
      {...(label === undefined ? {} : { "aria-label": label })}
      data-testid={testId}
    >
      <span className={styles["box"]} aria-hidden="true">
        {checked && <Check size={12} strokeWidth={3} />}
      </span>
      {children}
    </AriaCheckbox>
  );
}
