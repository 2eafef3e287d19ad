import { useMemo } from "react";
import type { Contents } from "../../api/flows";
import type { FlowModel } from "../../live/liveFlows";
import type { Tree } from "../../reducer/tree";
import { missingContents } from "../../tree/contents";
import { recordedGaps, treeGaps } from "../../tree/gaps";
import styles from "./Gaps.module.css";

interface Props {
  readonly model: FlowModel;
  readonly version: number;
  readonly tree: Tree;
  readonly cutSpans: number;
  readonly contents: Contents | null | undefined;
}

/** What is incomplete, truncated, redacted or outside, and how much of it; and whether contents are recorded. */
export function Gaps({ model, version, tree, cutSpans, contents }: Props) {
  const recorded = useMemo(() => recordedGaps(model, cutSpans), [model, version, cutSpans]);
  const gaps = [...recorded, ...treeGaps(tree)];
  const missing = missingContents(contents);
  if (gaps.length === 0 && missing === undefined) return null;
  return (
    <ul className={styles["gaps"]} aria-label="Incomplete or altered data" data-testid="gaps">
      {gaps.map(({ id, text, why }) => (
        <li key={id} className={styles["gap"]} title={why}>
          {text}
        </li>
      ))}
      {missing !== undefined && (
        <li className={styles["gap"]} title={missing.why}>
          {missing.short}
        </li>
      )}
    </ul>
  );
}
