import { LineChart } from "lucide-react";
import { lazy, Suspense, useMemo } from "react";
import type { Counted, Group, StepSums } from "../../api/statistics";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { one, to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { kindOf } from "../../tree/kind";
import { IconButton } from "../../ui/Button";
import { Select } from "../../ui/Field";
import { Loading, Notice } from "../../ui/Notice";
import { Section, Table, type Column } from "../../ui/Page";
import { CountLink } from "./CountLink";
import { axisDuration, percentileLines } from "./lines";
import { filled, narrowedTo } from "./range";
import { useSteps, useStepSeries } from "./useStatistics";
import styles from "./StatisticsPage.module.css";

const TimeChart = lazy(() => import("../../components/TimeChart"));

const GROUPS = [
  { id: "step", text: "by step and name" },
  { id: "checkpoint", text: "by type of step" },
  { id: "tool", text: "by tool" },
  { id: "mcp_server", text: "by MCP server" },
  { id: "model", text: "by model" },
] as const;
const MOST = 30;
const USUAL_GROUP = "step";
const USUAL_SORT = "self_ms";
/** The row whose chart is open; `step` is a filter. */
const CHOSEN = "charted";

/** Only for groups that the flows behind are known of. */
const FLOWS = "Flows";
const COLUMNS: readonly (Column & { readonly sort?: string })[] = [
  { text: "Step" },
  { text: "Count", number: true, sort: "count" },
  { text: "Denied", number: true },
  { text: "Failed", number: true },
  { text: "p50", number: true },
  { text: "p95", number: true, sort: "p95_ms" },
  { text: "p99", number: true },
  { text: "Own time", title: "The time in which no step below it ran, of all of them together", number: true, sort: "self_ms" },
  { text: "Tokens", number: true, sort: "tokens" },
  { text: "Cost", number: true, sort: "cost" },
  { text: FLOWS, number: true },
  { text: "Over time" },
];

/** Where the time goes: the kinds of steps, the slowest first. */
export function StepsSection() {
  const { route, change } = useNavigation();
  const group = GROUPS.find(({ id }) => id === one(route.query, "group"))?.id ?? USUAL_GROUP;
  const sort = one(route.query, "by") ?? USUAL_SORT;
  const chosen = one(route.query, CHOSEN);
  const grouping = { group_by: group, sort, limit: MOST };
  const { data, error } = useSteps(grouping);
  const withFlows = data?.groups.some(({ flows }) => flows !== null) === true;
  const most = Math.max(1, ...(data?.groups ?? []).map(({ self_ms }) => self_ms));
  return (
    <Section
      title="Steps"
      testId="steps"
      head={<Select label="Steps" hideLabel choices={GROUPS} value={group} onChange={(id) => change({ group: id === USUAL_GROUP ? null : id, [CHOSEN]: null })} testId="steps-group" />}
    >
      {error !== null && <Notice kind="problem">{error.message}</Notice>}
      {chosen !== null && <StepChart grouping={grouping} chosen={chosen} />}
      {data === undefined ? (
        error === null && <Loading label="The steps are loading" />
      ) : data.groups.length === 0 ? (
        <p className="quiet">No step of this kind ended in this time.</p>
      ) : (
        <Table
          label="Steps"
          testId="steps-table"
          head={COLUMNS.filter(({ text }) => withFlows || text !== FLOWS).map(({ sort: by, ...column }) =>
            by === undefined ? column : { ...column, sorted: by === sort, onSort: () => change({ by: by === USUAL_SORT ? null : by }, "replace") },
          )}
        >
          {data.groups.map((step) => (
            <StepRow
              key={keyOf(step)}
              step={step}
              group={group}
              most={most}
              withFlows={withFlows}
              chosen={keyOf(step) === chosen}
              onChoose={() => change({ [CHOSEN]: keyOf(step) === chosen ? null : keyOf(step) }, "replace")}
            />
          ))}
        </Table>
      )}
      {data?.more === true && <p className="quiet">The first {MOST} are shown; there are more.</p>}
    </Section>
  );
}

const keyOf = ({ value, other }: Group<StepSums>): string => (other === true ? "(other)" : String(value ?? ""));

interface RowProps {
  readonly step: Group<StepSums>;
  readonly group: string;
  readonly most: number;
  readonly withFlows: boolean;
  readonly chosen: boolean;
  readonly onChoose: () => void;
}

function StepRow({ step, group, most, withFlows, chosen, onChoose }: RowProps) {
  const ms = (value: number | null) => (value === null ? "–" : duration(value));
  const name = keyOf(step);
  return (
    <tr data-testid="step-row" data-chosen={chosen}>
      <td className={styles["step"]}>
        <StepName name={name} group={group} linked={step.flows !== null} />
      </td>
      <td className="number">{step.steps.toLocaleString()}</td>
      <td className="number" data-some={step.denied > 0 ? "denied" : undefined}>
        {step.denied.toLocaleString()}
      </td>
      <td className="number" data-some={step.errors > 0 ? "error" : undefined}>
        {step.errors.toLocaleString()}
      </td>
      <td className="number">{ms(step.p50_ms)}</td>
      <td className="number">{ms(step.p95_ms)}</td>
      <td className="number">{ms(step.p99_ms)}</td>
      <td className="number">
        {duration(step.self_ms)}
        <span className={styles["track"]} aria-hidden="true">
          <span className={styles["bar"]} style={{ width: `${(step.self_ms / most) * 100}%` }} />
        </span>
      </td>
      <td className="number">{step.tokens_input + step.tokens_output === 0 ? "–" : count(step.tokens_input + step.tokens_output)}</td>
      <td className="number">{step.cost === null ? "–" : money(step.cost)}</td>
      {withFlows && (
        <td className="number">
          <CountLink counted={step.flows} label={`flows with ${name}`} />
          <Gone look="denied" sign="⊘" counted={step.flows_denied} label={`flows with ${name} that were denied`} />
          <Gone look="error" sign="✕" counted={step.flows_failed} label={`flows with ${name} that failed`} />
        </td>
      )}
      <td>
        <IconButton icon={LineChart} label={`${name} over time`} aria-pressed={chosen} onPress={onChoose} testId="step-series" />
      </td>
    </tr>
  );
}

/** Of these flows, those that did not go well. */
function Gone({ look, sign, counted, label }: { readonly look: string; readonly sign: string; readonly counted: Counted | null; readonly label: string }) {
  if (counted === null || counted.count === 0) return null;
  return (
    <span className={styles["gone"]} data-some={look}>
      <span aria-hidden="true">{sign}</span> <CountLink counted={counted} label={label} />
    </span>
  );
}

/** Leads to the flows with such a step, the longest first. */
function StepName({ name, group, linked }: { readonly name: string; readonly group: string; readonly linked: boolean }) {
  const [type = "", ...rest] = group === "step" ? name.split(":") : [name];
  const kind = group === "tool" || group === "mcp_server" ? "tool" : group === "model" ? "model" : kindOf(type);
  const own = rest.join(":");
  const words = own === "" || own === type ? type : type === "span" ? own : `${type} · ${own}`;
  return (
    <span className={styles["name"]} data-kind={kind} title={name}>
      {linked ? (
        <Link to={to("flows", null, { [group]: name, sort: "duration" })} title="Its flows, longest first">
          {words}
        </Link>
      ) : (
        words
      )}
    </span>
  );
}

function StepChart({ grouping, chosen }: { readonly grouping: { readonly group_by: string; readonly sort: string; readonly limit: number }; readonly chosen: string }) {
  const { change } = useNavigation();
  const { data } = useStepSeries(grouping, true);
  const series = data?.groups.find((step) => keyOf(step) === chosen)?.series;
  const slots = useMemo(() => (data === undefined ? [] : filled(series ?? [], data.since, data.until, data.interval)), [data, series]);
  const lines = useMemo(() => percentileLines(slots), [slots]);
  if (data === undefined) return <Loading label="The chart is loading" />;
  if (series === undefined) return <p className="quiet">{chosen} is not among these steps.</p>;
  return (
    <Suspense fallback={<Loading label="The chart is loading" />}>
      <TimeChart
        label={chosen.replace(":", " · ")}
        kind="lines"
        slots={slots}
        lines={lines}
        format={duration}
        axis={axisDuration}
        onRange={(fromMs, toMs) => change(narrowedTo(fromMs, toMs))}
      />
    </Suspense>
  );
}
