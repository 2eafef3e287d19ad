import { X } from "lucide-react";
import { lazy, Suspense } from "react";
import type { ComparedRow, Side, ValueDifference } from "../../api/compare";
import { PercentileBadge } from "../../components/PercentileBadge";
import { duration, valueText } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { IconButton } from "../../ui/Button";
import { percent, signed, SIGNS, titleOf, wordOf } from "./signs";
import styles from "./RowDetails.module.css";

const TextDiff = lazy(() => import("./TextDiff"));

interface Props {
  readonly row: ComparedRow;
  /** Ids of the flows; the first is null where the row has what is usual. */
  readonly a: string | null;
  readonly b: string;
  readonly onClose: () => void;
}

/** What is different about one step: its times, and every value by its JSON path. */
export function RowDetails({ row, a, b, onClose }: Props) {
  const usual = a === null;
  return (
    <aside className={styles["details"]} aria-label="Details" data-testid="compare-details">
      <header className={styles["head"]}>
        <h2 className="truncate" title={titleOf(row)}>
          {titleOf(row)}
        </h2>
        <IconButton icon={X} label="Close the details" keys="Esc" onPress={onClose} />
      </header>
      <div className={styles["body"]} tabIndex={0} role="region" aria-label="What is different">
        <p>
          <span className={styles["sign"]} data-status={row.status} aria-hidden="true">
            {SIGNS[row.status].sign}
          </span>{" "}
          {wordOf(row.status, usual)}
          {row.pace !== undefined && row.pace !== row.status && row.pace !== "same" && `, and ${row.pace}`}
          {row.delta_ms !== null && ` · ${signed(row.delta_ms)} ${percent(row.delta_percent)}`}
          {row.percentile != null && (
            <>
              {" "}
              <PercentileBadge percentile={row.percentile} />
            </>
          )}
        </p>
        <table className={styles["times"]}>
          <thead>
            <tr>
              <td />
              <th scope="col">{usual ? "Usual" : "A"}</th>
              <th scope="col">{usual ? "Flow" : "B"}</th>
            </tr>
          </thead>
          <tbody>
            {LINES.map(({ name, of }) => {
              const values = [row.a, row.b].map((side) => (side === null ? undefined : of(side)));
              return values.every((value) => value === undefined) ? null : (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {values.map((value, index) => (
                    <td key={index}>{value ?? "–"}</td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
        <p className={styles["links"]}>
          {a !== null && <StepLink words="Show it in A" flowId={a} side={row.a} />}
          <StepLink words={usual ? "Show it in the flow" : "Show it in B"} flowId={b} side={row.b} />
        </p>
        {row.differences !== undefined && row.differences.length > 0 && (
          <section className={styles["values"]} data-testid="value-differences">
            <h3>Different values</h3>
            {row.differences.map((difference) => (
              <Value key={difference.path} difference={difference} />
            ))}
            {row.more_differences !== undefined && <p className="quiet">{row.more_differences} more values differ.</p>}
          </section>
        )}
      </div>
    </aside>
  );
}

const ms = (value: number | undefined) => (value === undefined ? undefined : duration(value));

const shareOf = ({ flows, share }: Side) => (share === undefined || flows === undefined ? undefined : `${Math.round(share * 100)} % (${flows.toLocaleString()})`);

const LINES: readonly { readonly name: string; readonly of: (side: Side) => string | undefined }[] = [
  { name: "Flows that have it", of: shareOf },
  { name: "Took", of: (side) => ms(side.duration_ms) },
  { name: "Own time", of: (side) => ms(side.self_ms) },
  { name: "Outcome", of: (side) => (side.open === true ? "running" : (side.outcome ?? undefined)) },
  { name: "Steps", of: (side) => side.count?.toLocaleString() },
  { name: "Total", of: (side) => ms(side.total_ms) },
  { name: "Least", of: (side) => ms(side.min_ms) },
  { name: "Median", of: (side) => ms(side.p50_ms) },
  { name: "p95", of: (side) => ms(side.p95_ms) },
  { name: "Greatest", of: (side) => ms(side.max_ms) },
  { name: "Errors", of: (side) => side.errors?.toLocaleString() },
];

function StepLink({ words, flowId, side }: { readonly words: string; readonly flowId: string; readonly side: Side | null }) {
  const nodeId = side?.node_id ?? side?.node_ids?.[0];
  return nodeId === undefined ? null : <Link to={to("flow", flowId, { span: nodeId })}>{words}</Link>;
}

/** One value as both flows have it; of two texts, what was taken out and put in. */
function Value({ difference: { path, a, b } }: { readonly difference: ValueDifference }) {
  const both = a !== null && b !== null;
  return (
    <div className={styles["value"]} data-testid="value-difference">
      <code className={styles["path"]}>{path}</code>
      {both && typeof a === "string" && typeof b === "string" ? (
        <Suspense fallback={<pre>{b}</pre>}>
          <TextDiff a={a} b={b} />
        </Suspense>
      ) : (
        <>
          {a !== null && <pre data-side="a">{valueText(a)}</pre>}
          {b !== null && <pre data-side="b">{valueText(b)}</pre>}
        </>
      )}
    </div>
  );
}
