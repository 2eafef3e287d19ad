import { withoutModule } from "../format";
import type { Verdict } from "../reducer/outcome";
import { reasonWords, type Appearance } from "../tree/appearance";
import styles from "./FlowVerdict.module.css";

/** What became of a flow, where it is worth saying. */
export function FlowVerdict({ look, verdict }: { readonly look: Appearance; readonly verdict: Verdict }) {
  const why = verdict.reason ?? reasonWords(verdict.outcomeReason);
  if (look.look === "ok" || look.look === "running") return null;
  const words = `${look.words}${verdict.gate === null ? "" : ` at ${verdict.gate}`}${why === null ? "" : `: ${withoutModule(why)}`}`;
  return (
    <span className={`${styles["verdict"]} truncate`} data-look={look.look} title={words} data-testid="flow-verdict">
      {words}
    </span>
  );
}
