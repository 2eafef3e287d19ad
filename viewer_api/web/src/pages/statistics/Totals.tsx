import type { FlowSums } from "../../api/statistics";
import { count, duration, money } from "../../format";
import { Facts } from "../../ui/Page";
import { CountLink } from "./CountLink";

/** What all flows of the range add up to. */
export function Totals({ sums }: { readonly sums: FlowSums }) {
  const ms = (value: number | null) => (value === null ? "–" : duration(value));
  const share = (part: number) => (sums.flows.count === 0 ? "" : `${((part / sums.flows.count) * 100).toFixed(1)} %`);
  return (
    <Facts
      testId="statistics-facts"
      facts={[
        { name: "Flows", value: <CountLink counted={sums.flows} label="flows" /> },
        { name: "Denied", value: <CountLink counted={sums.flows_denied} label="flows that were denied" />, note: share(sums.flows_denied.count) },
        { name: "Failed", value: <CountLink counted={sums.flows_failed} label="flows that failed" />, note: share(sums.flows_failed.count) },
        { name: "Took (p50)", value: ms(sums.p50_ms) },
        { name: "Took (p95)", value: ms(sums.p95_ms), note: `p99 ${ms(sums.p99_ms)}` },
        {
          name: "Tokens",
          value: count(sums.tokens_input + sums.tokens_output),
          note: `${count(sums.tokens_input)} in, ${count(sums.tokens_output)} out`,
        },
        { name: "Cost", value: sums.cost === null ? "–" : money(sums.cost) },
      ]}
    />
  );
}
