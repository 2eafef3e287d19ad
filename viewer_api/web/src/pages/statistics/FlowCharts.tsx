import { lazy, Suspense, useMemo } from "react";
import type { FlowSums, Interval, Statistics } from "../../api/statistics";
import { Ago } from "../../components/Ago";
import { count, duration } from "../../format";
import { useNavigation } from "../../navigation/useNavigation";
import { Loading } from "../../ui/Notice";
import { Table } from "../../ui/Page";
import { flowsAt } from "../flows/filters";
import { CountLink } from "./CountLink";
import { axisDuration, percentileLines } from "./lines";
import { filled, narrowedTo } from "./range";
import styles from "./StatisticsPage.module.css";

const TimeChart = lazy(() => import("../../components/TimeChart"));

interface Props {
  readonly statistics: Statistics<FlowSums> & { readonly interval: Interval };
}

/** How long flows took, how many there were and what became of them, and their tokens, over time. */
export function FlowCharts({ statistics }: Props) {
  const { go, change } = useNavigation();
  const { groups, since, until, interval } = statistics;
  const slots = useMemo(() => filled(groups[0]?.series ?? [], since, until, interval), [groups, since, until, interval]);
  const lines = useMemo(() => {
    const values = (value: (sums: FlowSums) => number) => slots.map(({ point }) => (point === undefined ? 0 : value(point)));
    return {
      took: percentileLines(slots),
      flows: [
        { label: "flows", colour: "--kind-gate", values: values(({ flows }) => flows.count) },
        { label: "denied or failed", colour: "--denied", values: values((sums) => sums.flows_denied.count + sums.flows_failed.count) },
        { label: "failed", colour: "--error", values: values((sums) => sums.flows_failed.count) },
      ],
      tokens: [
        { label: "tokens", colour: "--kind-model", values: values((sums) => sums.tokens_input + sums.tokens_output) },
        { label: "of which written", colour: "--kind-tool", values: values((sums) => sums.tokens_output) },
      ],
    };
  }, [slots]);
  const shared = {
    slots,
    onRange: (fromMs: number, toMs: number) => change(narrowedTo(fromMs, toMs)),
    onPick: (index: number) => {
      const link = slots[index]?.point?.flows.link;
      if (link != null) go(flowsAt(link));
    },
  };
  return (
    <Suspense fallback={<Loading label="The charts are loading" />}>
      <div className={styles["charts"]}>
        <TimeChart label="How long flows take" kind="lines" lines={lines.took} format={duration} axis={axisDuration} {...shared} />
        <TimeChart label="Flows" kind="bars" lines={lines.flows} format={count} axis={whole} {...shared} />
        <TimeChart label="Tokens" kind="bars" lines={lines.tokens} format={count} axis={whole} {...shared} />
      </div>
      <details className={styles["numbers"]}>
        <summary>The same as a table</summary>
        <Table label="Flows over time" head={["From", ...["Flows", "Denied", "Failed", "p50", "p95", "p99", "Tokens"].map((text) => ({ text, number: true as const }))]}>
          {slots.flatMap(({ startMs, point }) =>
            point === undefined ? (
              []
            ) : (
              <tr key={startMs} data-testid="interval-row">
                <td>
                  <Ago iso={point.start} />
                </td>
                <td className="number">
                  <CountLink counted={point.flows} label="flows" />
                </td>
                <td className="number">
                  <CountLink counted={point.flows_denied} label="flows that were denied" />
                </td>
                <td className="number">
                  <CountLink counted={point.flows_failed} label="flows that failed" />
                </td>
                {[point.p50_ms, point.p95_ms, point.p99_ms].map((ms, index) => (
                  <td key={index} className="number">
                    {ms === null ? "–" : duration(ms)}
                  </td>
                ))}
                <td className="number">{count(point.tokens_input + point.tokens_output)}</td>
              </tr>
            ),
          )}
        </Table>
      </details>
    </Suspense>
  );
}

/** Between whole numbers there is nothing to label. */
const whole = (value: number) => (Number.isInteger(value) ? count(value) : "");
