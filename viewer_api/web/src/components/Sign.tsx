import type { Appearance } from "../tree/appearance";

/** A coloured shape for a state; the words are for those who cannot see it. */
export function Sign({ look, silent = false }: { readonly look: Appearance; readonly silent?: boolean }) {
  return (
    <span className={`sign ${look.look}`} title={look.words}>
      <span aria-hidden="true">{look.sign}</span>
      {!silent && <span className="unseen">{look.words}</span>}
    </span>
  );
}
