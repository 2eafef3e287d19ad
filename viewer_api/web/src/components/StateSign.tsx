import type { Appearance } from "../tree/appearance";
import styles from "./StateSign.module.css";

/** A coloured shape for a state; the words are for those who cannot see it. */
export function StateSign({ look, silent = false }: { readonly look: Appearance; readonly silent?: boolean }) {
  return (
    <span className={styles["sign"]} data-look={look.look} title={look.words}>
      <span aria-hidden="true">{look.sign}</span>
      {!silent && <span className="visually-hidden">{look.words}</span>}
    </span>
  );
}
