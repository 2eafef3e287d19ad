import type { ReactNode } from "react";
import type { FlowPreview, FlowSummary } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { VerdictChip } from "../../components/VerdictChip";
import { StateSign } from "../../components/StateSign";
import { count, duration, money, plainLine, withoutModule } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance, reasonWords } from "../../tree/appearance";
import { requestText } from "../../tree/requestText";
import { Chip } from "../../ui/Chip";
import { Checkbox } from "../../ui/Field";
import type { Column } from "./columns";
import styles from "./FlowTable.module.css";

/** Which flows are ticked, to be compared. */
export interface Tick {
  readonly chosen: readonly string[];
  readonly onChoose: (flowId: string, chosen: boolean) => void;
}

interface Props {
  readonly flow: FlowSummary;
  readonly preview: FlowPreview | null;
  readonly columns: readonly Column[];
  readonly top: number;
  readonly index: number;
  /** The longest duration in the list: the bars are parts of it. */
  readonly longest: number;
  readonly tick: Tick;
}

export function FlowRow({ flow, preview, columns, top, index, longest, tick }: Props) {
  const look = outcomeAppearance(flow.outcome, flow.open);
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={styles["row"]}
      style={{ transform: `translateY(${top}px)` }}
      data-testid="flow-row"
      data-flow-id={flow.flow_id}
      data-look={look.look}
    >
      <span role="cell" data-column="tick">
        <Checkbox
          label={`Compare ${requestText(flow, preview)}`}
          checked={tick.chosen.includes(flow.flow_id)}
          onChange={(chosen) => tick.onChoose(flow.flow_id, chosen)}
        />
      </span>
      {columns.map(({ id, number }) => (
        <span key={id} role="cell" data-column={id} className={`${styles["cell"]} ${number === true ? "number" : ""}`}>
          {CELLS[id]?.(flow, preview, longest)}
        </span>
      ))}
    </div>
  );
}

type Cell = (flow: FlowSummary, preview: FlowPreview | null, longest: number) => ReactNode;

const NONE = <span className="quiet">–</span>;

const CELLS: Readonly<Record<string, Cell>> = {
  outcome: (flow) => <Outcome flow={flow} />,
  request: (flow, preview) => <Request flow={flow} preview={preview} />,
  name: (flow) => <Text text={flow.name} />,
  user: (flow) =>
    flow.user_id === null ? (
      <span className="quiet">no user</span>
    ) : (
      <Link to={to("users", String(flow.user_id))} className={`${styles["user"]} truncate`} title={`${flow.email ?? "user"} (${flow.user_id})`}>
        {flow.full_name ?? flow.email ?? `user ${flow.user_id}`}
      </Link>
    ),
  source: (flow) => <Text text={flow.source} />,
  tools: (flow) => (flow.tools.length === 0 ? NONE : <Tools tools={flow.tools} />),
  model: (flow) => <Text text={flow.models.join(", ") || null} />,
  steps: (flow) => flow.checkpoint_count,
  took: (flow, _, longest) => (flow.duration_ms === null ? NONE : <Took ms={flow.duration_ms} longest={longest} />),
  tokens: (flow) => (flow.tokens_input + flow.tokens_output === 0 ? NONE : count(flow.tokens_input + flow.tokens_output)),
  cost: (flow) => (flow.cost === null ? NONE : money(flow.cost)),
  began: (flow) => (flow.started_at === null ? NONE : <Ago iso={flow.started_at} />),
};

function Text({ text }: { readonly text: string | null }) {
  return text === null ? (
    NONE
  ) : (
    <span className="truncate" title={text}>
      {text}
    </span>
  );
}

function Outcome({ flow }: { readonly flow: FlowSummary }) {
  const look = outcomeAppearance(flow.outcome, flow.open);
  const why = flow.denied_reason ?? (flow.error_message === null ? reasonWords(flow.outcome_reason) : withoutModule(flow.error_message));
  return (
    <span className={styles["outcome"]}>
      <StateSign look={look} silent />
      <span className={styles["stack"]}>
        <span className="truncate">
          {look.words}
          {flow.denied_gate !== null && <span className="quiet"> at {flow.denied_gate}</span>} {flow.verdict != null && <VerdictChip verdict={flow.verdict} />}
        </span>
        {why !== null && (
          <span className={`${styles["small"]} truncate`} title={why}>
            {why}
          </span>
        )}
      </span>
    </span>
  );
}

/** What was asked and what was answered; of a request without words its name and how many steps it had. */
function Request({ flow, preview }: { readonly flow: FlowSummary; readonly preview: FlowPreview | null }) {
  const name = flow.name ?? flow.flow_id;
  const steps = `${flow.checkpoint_count} ${flow.checkpoint_count === 1 ? "step" : "steps"}`;
  const failed = flow.error_count > 0 ? ` · ${flow.error_count} failed` : "";
  const question = preview?.question ?? null;
  const answer = preview?.answer == null ? null : plainLine(preview.answer);
  return (
    <span className={styles["stack"]}>
      <Link
        to={to("flow", flow.flow_id)}
        className={`${styles["name"]} truncate`}
        title={question === null ? name : `${question}\n${name}`}
        testId="flow-link"
      >
        {requestText(flow, preview)}
      </Link>
      <span className={`${styles["small"]} truncate`} data-testid="flow-line">
        {answer ?? `${requestText(flow, preview) === name ? "" : `${name} · `}${steps}${failed}`}
      </span>
    </span>
  );
}

/** In one line: a row has no more room. */
function Tools({ tools: [first, ...others] }: { readonly tools: readonly string[] }) {
  return (
    <span className={styles["tools"]} title={[first, ...others].join(", ")}>
      <Chip look="tool">{first}</Chip>
      {others.length > 0 && <Chip look="tool">+{others.length}</Chip>}
    </span>
  );
}

function Took({ ms, longest }: { readonly ms: number; readonly longest: number }) {
  return (
    <>
      {duration(ms)}
      <span className={styles["track"]} aria-hidden="true">
        <span className={styles["bar"]} style={{ width: `${Math.max((ms / longest) * 100, 1)}%` }} />
      </span>
    </>
  );
}
