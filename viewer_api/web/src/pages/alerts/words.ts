import type { Condition, Definition, RuleFilters } from "../../api/alerts";
import { duration, roundDuration } from "../../format";

export interface Kind {
  readonly id: string;
  readonly text: string;
  /** What the threshold is called, and of how many of the API's units one of the page's is. */
  readonly threshold: string;
  readonly scale: number;
  readonly usual: number;
  readonly window: boolean;
  /** Of how few it says nothing: what the field is called. */
  readonly samples?: string;
}

/** The conditions that there are, with the units that people think in. */
export const KINDS: readonly Kind[] = [
  { id: "still_running", text: "A flow hangs", threshold: "Running for (seconds)", scale: 1, usual: 120, window: false },
  { id: "longer_than", text: "A flow took too long", threshold: "Took (seconds)", scale: 1000, usual: 10, window: true },
  { id: "slower_than_usual", text: "A flow was slower than usual", threshold: "Times the usual p95", scale: 1, usual: 3, window: true, samples: "Flows before, at least" },
  { id: "step_slower_than_usual", text: "Steps were slower than usual", threshold: "Times the usual p95", scale: 1, usual: 3, window: true, samples: "Steps before, at least" },
  { id: "error_rate", text: "Too many flows fail", threshold: "Failed (percent)", scale: 0.01, usual: 20, window: true, samples: "Of at least (flows)" },
  { id: "denial_rate", text: "Too many flows are denied", threshold: "Denied (percent)", scale: 0.01, usual: 50, window: true, samples: "Of at least (flows)" },
  { id: "no_activity", text: "No activity", threshold: "Without a flow for (seconds)", scale: 1, usual: 900, window: false },
  { id: "losses", text: "Spans or flows are lost", threshold: "Lost, at least", scale: 1, usual: 1, window: true },
];

/** What the steps of a rule have in common. */
export const STEP_KINDS = [
  { id: "tool", text: "Tool", example: "search" },
  { id: "mcp_server", text: "MCP server", example: "qa_mcp" },
  { id: "model", text: "Model", example: "gpt-5" },
  { id: "checkpoint", text: "Type of step", example: "llm_thinking" },
  { id: "step", text: "Type and name of step", example: "tool_call:tools/call search" },
] as const;

/** What of these steps is compared with their usual p95. */
export const STEP_TIMES = [
  { id: "p95", text: "Their p95" },
  { id: "slowest", text: "The slowest of them" },
] as const;

/** A value in words, by the unit that the viewer names. */
export function valueWords(value: number | null, unit: string): string {
  if (value === null) return "–";
  switch (unit) {
    case "share":
      return `${(value * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`;
    case "ms":
      return value === 0 ? "0 s" : duration(value);
    case "s":
      return value === 0 ? "0 s" : duration(value * 1000);
    default:
      return value.toLocaleString(undefined, { maximumFractionDigits: 2 });
  }
}

const whole = (seconds: number): string => roundDuration(seconds * 1000);

/** A threshold of it, which is round. */
export function thresholdText(value: number | null, unit: string): string {
  return value !== null && (unit === "ms" || unit === "s") ? roundDuration(unit === "s" ? value * 1000 : value) : valueWords(value, unit);
}

/** A rule in a sentence: `Alert when a flow with the tool list_jobs is still running after 2 min.` */
export function sentence({ condition, filters, for_seconds: patience }: Pick<Definition, "condition" | "filters" | "for_seconds">): string {
  const about = filterWords(filters);
  const flow = `a flow${about}`;
  const flows = `flows${about}`;
  const window = typeof condition.window_seconds === "number" ? ` within ${whole(condition.window_seconds)}` : "";
  const said = conditionWords(condition, flow, flows, window);
  const held = patience > 0 ? `, for ${whole(patience)}` : "";
  const warned = condition.warning == null ? "" : ` Warn from ${thresholdWords(condition.kind, condition.warning)} on.`;
  return `Alert when ${said}${held}.${warned}`;
}

function conditionWords({ kind, alert, min_samples: least, by, name, of: of_ }: Condition, flow: string, flows: string, window: string): string {
  const of = typeof least === "number" ? ` (of at least ${least})` : "";
  const threshold = thresholdWords(kind, alert);
  switch (kind) {
    case "still_running":
      return `${flow} is still running after ${threshold}`;
    case "longer_than":
      return `${flow} that ended${window} took ${threshold} or longer`;
    case "slower_than_usual":
      return `${flow} that ended${window} took ${threshold} its usual time (p95) or longer`;
    case "step_slower_than_usual":
      return `${of_ === "slowest" ? "the slowest step" : "the p95 of steps"} with the ${WORDS[String(by)] ?? String(by)} ${String(name)}${window} is ${threshold} the usual p95 or more`;
    case "error_rate":
      return `${threshold} or more of ${flows}${window} fail${of}`;
    case "denial_rate":
      return `${threshold} or more of ${flows}${window} are denied${of}`;
    case "no_activity":
      return `no flow${flows.slice("flows".length)} has begun, run or ended for ${threshold}`;
    case "losses":
      return `${threshold} or more spans or flows were lost${window}`;
    default:
      return `${kind} reaches ${threshold}`;
  }
}

function thresholdWords(kind: string, value: number): string {
  switch (kind) {
    case "still_running":
    case "no_activity":
      return whole(value);
    case "longer_than":
      return whole(value / 1000);
    case "slower_than_usual":
    case "step_slower_than_usual":
      return `${value} ×`;
    case "error_rate":
    case "denial_rate":
      return valueWords(value, "share");
    default:
      return value.toLocaleString();
  }
}

const WORDS: Readonly<Record<string, string>> = { mcp_server: "MCP server", checkpoint: "type", step: "type and name" };

const NAMES: Readonly<Record<string, string>> = {
  user_id: "of user",
  source: "from",
  checkpoint: "with a step of the type",
  step: "with the step",
  tool: "with the tool",
  mcp_server: "with the MCP server",
  model: "with the model",
};

function filterWords(filters: RuleFilters): string {
  const words = Object.entries(filters).flatMap(([name, values]) => (values.length === 0 ? [] : [`${NAMES[name] ?? name} ${values.join(" or ")}`]));
  return words.length === 0 ? "" : ` ${words.join(" and ")}`;
}
