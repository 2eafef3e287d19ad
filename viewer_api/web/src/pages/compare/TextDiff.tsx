import { diffWordsWithSpace } from "diff";
import { useMemo } from "react";
import styles from "./RowDetails.module.css";

/** Less in common than that, and the pieces of a difference say less than the two texts. */
const LEAST_COMMON = 0.3;

/** Two texts as one: what only A says is struck out, what only B says is underlined. */
export default function TextDiff({ a, b }: { readonly a: string; readonly b: string }) {
  const parts = useMemo(() => diffWordsWithSpace(a, b), [a, b]);
  const common = parts.reduce((sum, part) => sum + (part.added || part.removed ? 0 : part.value.length), 0);
  if (common < LEAST_COMMON * Math.min(a.length, b.length)) {
    return (
      <>
        <pre data-side="a">{a}</pre>
        <pre data-side="b">{b}</pre>
      </>
    );
  }
  return (
    <pre className={styles["merged"]}>
      {parts.map((part, index) =>
        part.removed ? <del key={index}>{part.value}</del> : part.added ? <ins key={index}>{part.value}</ins> : <span key={index}>{part.value}</span>,
      )}
    </pre>
  );
}
