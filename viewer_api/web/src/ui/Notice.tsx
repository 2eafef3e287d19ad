import { CircleAlert, Info } from "lucide-react";
import type { ReactNode } from "react";
import styles from "./Notice.module.css";

interface Props {
  readonly kind?: "problem" | "info";
  readonly children: ReactNode;
  readonly action?: ReactNode;
  readonly testId?: string;
}

/** One line about what is wrong, or worth knowing, where it matters. */
export function Notice({ kind = "info", children, action, testId }: Props) {
  const Icon = kind === "problem" ? CircleAlert : Info;
  return (
    <div className={`${styles["notice"]} ${styles[kind]}`} role={kind === "problem" ? "alert" : "status"} data-testid={testId}>
      <Icon size={16} aria-hidden="true" />
      <div className={styles["text"]}>{children}</div>
      {action}
    </div>
  );
}

interface EmptyProps {
  readonly title: string;
  readonly children?: ReactNode;
  readonly testId?: string;
}

/** What stands where there is nothing to show: why, and what to do about it. */
export function Empty({ title, children, testId = "empty" }: EmptyProps) {
  return (
    <section className={styles["empty"]} data-testid={testId}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** Stands for rows that are being loaded. */
export function Loading({ label }: { readonly label: string }) {
  return (
    <div className={styles["loading"]} role="status">
      <span className="visually-hidden">{label}</span>
      {[72, 88, 64, 80].map((width) => (
        <span key={width} className={styles["bone"]} style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}
