import { useMemo } from "react";
import type { FlowModel } from "../../live/liveFlows";
import type { Tree } from "../../reducer/tree";
import { recordedGaps, treeGaps } from "../../tree/gaps";
import styles from "./Gaps.module.css";

interface Props {
  readonly model: FlowModel;
  readonly version: number;
  readonly tree: Tree;
  readonly cutSpans: number;
}

/** What is incomplete, truncated, redacted or outside, and how much of it. */
export function Gaps({ model, version, tree, cutSpans }: Props) {
  const recorded = useMemo(() => recordedGaps(model, cutSpans), [model, version, cutSpans]);
  const gaps = [...recorded, ...treeGaps(tree)];
  if (gaps.length === 0) return null;
  return (
    <ul className={styles["gaps"]} aria-label="What is not shown as it was" data-testid="gaps">
      {gaps.map(({ id, text, why }) => (
        <li key={id} className={styles["gap"]} title={why}>
          {text}
        </li>
      ))}
    </ul>
  );
}
