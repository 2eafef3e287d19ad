import styles from "./PercentileBadge.module.css";

/** `p97`: of 100 steps of its kind 97 took no longer, in the last 24 hours. */
export function PercentileBadge({ percentile }: { readonly percentile: number }) {
  return (
    <span className={styles["badge"]} title={percentileText(percentile)} data-testid="percentile">
      {percentileName(percentile)}
    </span>
  );
}

/** The longest of all is no more than the 99th of 100. */
const percentileName = (percentile: number): string => `p${Math.min(Math.floor(percentile), 99)}`;

export const percentileText = (percentile: number): string => `${percentileName(percentile)} of its kind, last 24 h`;
