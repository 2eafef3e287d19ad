import { useQuery } from "@tanstack/react-query";
import { ArrowLeftRight } from "lucide-react";
import { compareFlows, type Comparison } from "../../api/compare";
import { useShortcuts } from "../../app/shortcuts";
import { useNavigation } from "../../navigation/useNavigation";
import { Button } from "../../ui/Button";
import { Loading, Notice } from "../../ui/Notice";
import { FlowSide } from "./FlowSide";
import { directionOf, longer, percent } from "./signs";
import { SteppedComparison } from "./SteppedComparison";
import styles from "./TwoFlows.module.css";

const WHILE_RUNNING_MS = 2_000;

/** Two flows beside each other: what is new, what is gone, and where the time went. */
export function TwoFlows({ a, b }: { readonly a: string; readonly b: string }) {
  const { data, error } = useQuery({
    queryKey: ["compare", a, b],
    queryFn: ({ signal }) => compareFlows(a, b, signal),
    refetchInterval: ({ state }) => (state.data?.a.open === true || state.data?.b.open === true ? WHILE_RUNNING_MS : false),
  });
  return (
    <div className={styles["page"]} data-testid="compare-page">
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {data === undefined ? error === null && <Loading label="The comparison is loading" /> : <Compared comparison={data} />}
    </div>
  );
}

function Compared({ comparison }: { readonly comparison: Comparison }) {
  const { change } = useNavigation();
  const { a, b } = comparison;
  const swap = () => change({ a: b.flow_id, b: a.flow_id, row: null }, "replace");
  useShortcuts([{ keys: "x", text: "Swap the two flows", group: "Compare", run: swap }]);
  return (
    <SteppedComparison steps={comparison} a={a.flow_id} b={b.flow_id}>
      <header className={styles["head"]}>
        <h1>Compare</h1>
        <strong className={styles["delta"]} data-testid="compare-delta" data-status={directionOf(comparison.delta_ms)}>
          {longer(comparison.delta_ms)} <span className="quiet">{percent(comparison.delta_percent)}</span>
        </strong>
        <Button icon={ArrowLeftRight} onPress={swap} testId="swap">
          Swap <kbd>x</kbd>
        </Button>
      </header>
      <div className={styles["sides"]}>
        <FlowSide letter="A" flow={a} longest={longestOf(a, b)} />
        <FlowSide letter="B" flow={b} longest={longestOf(a, b)} />
      </div>
    </SteppedComparison>
  );
}

const longestOf = (a: Comparison["a"], b: Comparison["b"]) => Math.max(a.duration_ms ?? 0, b.duration_ms ?? 0, 1e-6);
