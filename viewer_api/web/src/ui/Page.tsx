import { ArrowDown } from "lucide-react";
import type { ReactNode } from "react";
import styles from "./Page.module.css";

interface PageProps {
  readonly title: ReactNode;
  /** What stands beside the title. */
  readonly head?: ReactNode;
  /** Buttons, at the end of the title's line. */
  readonly actions?: ReactNode;
  /** What is said of the whole, below the title. */
  readonly about?: ReactNode;
  readonly children: ReactNode;
  readonly testId?: string;
}

/** A page that scrolls as a whole: a title, what can be done, and sections. */
export function Page({ title, head, actions, about, children, testId }: PageProps) {
  return (
    <div className={styles["page"]} data-testid={testId}>
      <div className={styles["head"]}>
        <h1>{title}</h1>
        {head}
        {actions !== undefined && <div className={styles["actions"]}>{actions}</div>}
        {about !== undefined && <p className={`${styles["about"]} quiet`}>{about}</p>}
      </div>
      {children}
    </div>
  );
}

interface SectionProps {
  readonly title: string;
  /** What stands beside the title. */
  readonly head?: ReactNode;
  readonly children: ReactNode;
  readonly testId?: string;
}

export function Section({ title, head, children, testId }: SectionProps) {
  return (
    <section className={styles["section"]} data-testid={testId}>
      {head === undefined ? (
        <h2>{title}</h2>
      ) : (
        <div className={styles["head"]}>
          <h2>{title}</h2>
          {head}
        </div>
      )}
      {children}
    </section>
  );
}

export interface Fact {
  readonly name: string;
  readonly value: ReactNode;
  /** What it is made of. */
  readonly note?: ReactNode;
}

/** Numbers that say how something is, side by side. */
export function Facts({ facts, testId }: { readonly facts: readonly Fact[]; readonly testId?: string }) {
  return (
    <dl className={styles["facts"]} data-testid={testId}>
      {facts.map(({ name, value, note }) => (
        <div key={name} className={styles["fact"]}>
          <dt>{name}</dt>
          <dd>{value}</dd>
          {note !== undefined && <dd className={styles["note"]}>{note}</dd>}
        </div>
      ))}
    </dl>
  );
}

/** The head of a column; one that can be sorted by is a button. */
export interface Column {
  readonly text: string;
  readonly title?: string;
  readonly number?: true;
  /** Whether only screen readers are told the text. */
  readonly hidden?: true;
  /** Whether a phone has no room for it; its cells have the class `wide-only`. */
  readonly wideOnly?: true;
  readonly sorted?: boolean;
  readonly onSort?: () => void;
}

interface TableProps {
  readonly label: string;
  readonly head: readonly (string | Column)[];
  readonly children: ReactNode;
  readonly testId?: string;
}

/** A table that scrolls sideways by itself instead of widening the page. */
export function Table({ label, head, children, testId }: TableProps) {
  const columns = head.map((column): Column => (typeof column === "string" ? { text: column } : column));
  return (
    // Keyboard users scroll it with the arrow keys.
    <div className={styles["scroller"]} role="region" aria-label={label} tabIndex={0}>
      <table className={styles["table"]} data-testid={testId}>
        <thead>
          <tr>
            {columns.map(({ text, title, number, hidden, wideOnly, sorted, onSort }) => (
              <th
                key={text}
                scope="col"
                title={title}
                className={`${number === true ? styles["number"] : ""} ${wideOnly === true ? "wide-only" : ""}`}
                aria-sort={sorted === true ? "descending" : undefined}
              >
                {onSort === undefined ? (
                  <span className={hidden === true ? "visually-hidden" : undefined}>{text}</span>
                ) : (
                  <button type="button" className={styles["sort"]} onClick={onSort}>
                    {text}
                    {sorted === true && <ArrowDown size={12} aria-hidden="true" />}
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
