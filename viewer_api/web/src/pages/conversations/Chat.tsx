import { ChevronRight, Wrench } from "lucide-react";
import { lazy, Suspense } from "react";
import type { Activity } from "../../api/conversations";
import type { FlowSummary } from "../../api/flows";
import { Ago } from "../../components/Ago";
import { StateSign } from "../../components/StateSign";
import { count, duration, money } from "../../format";
import { Link } from "../../navigation/Link";
import { to } from "../../navigation/route";
import { outcomeAppearance } from "../../tree/appearance";
import { Chip, Chips } from "../../ui/Chip";
import { said, type Turn } from "./turns";
import styles from "./Chat.module.css";

const Markdown = lazy(() => import("../../components/Markdown"));

/** A conversation as people read one: who said what, what tools did meanwhile, and how each turn went. */
export function Chat({ turns }: { readonly turns: readonly Turn[] }) {
  return (
    <ol className={styles["turns"]} data-testid="chat">
      {turns.map((turn, index) => (
        <li key={turn.flowId ?? `turn ${index}`} className={styles["turn"]} data-testid="turn">
          <TurnHead turn={turn} number={index + 1} />
          {turn.activities.map((activity) => (
            <Said key={activity.activity_id} activity={activity} />
          ))}
        </li>
      ))}
    </ol>
  );
}

function TurnHead({ turn: { flow, flowId, activities }, number }: { readonly turn: Turn; readonly number: number }) {
  const began = flow?.started_at ?? activities[0]?.created_at ?? null;
  return (
    <header className={styles["head"]}>
      {flow !== null && <StateSign look={outcomeAppearance(flow.outcome, flow.open)} />}
      {flowId === null ? <span>Turn {number}</span> : <Link to={to("flow", flowId)}>Turn {number}</Link>}
      {flow !== null && <TurnChips flow={flow} />}
      {began !== null && (
        <span className="quiet">
          <Ago iso={began} />
        </span>
      )}
    </header>
  );
}

function TurnChips({ flow }: { readonly flow: FlowSummary }) {
  const tokens = flow.tokens_input + flow.tokens_output;
  const why = flow.denied_reason ?? flow.error_message;
  return (
    <Chips>
      {flow.denied_gate !== null && <Chip look="denied">denied at {flow.denied_gate}</Chip>}
      {why !== null && (
        <Chip look={flow.denied_reason === null ? "error" : "denied"} title={why}>
          {why}
        </Chip>
      )}
      {flow.duration_ms !== null && <Chip>{duration(flow.duration_ms)}</Chip>}
      {tokens > 0 && <Chip>{count(tokens)} tokens</Chip>}
      {flow.cost !== null && <Chip>cost {money(flow.cost)}</Chip>}
      {flow.models.map((model) => (
        <Chip key={model} title={model}>
          {model}
        </Chip>
      ))}
    </Chips>
  );
}

function Said({ activity }: { readonly activity: Activity }) {
  switch (activity.activity_type) {
    case "user_message":
      return (
        <div className={`${styles["message"]} ${styles["person"]}`} data-testid="user-message">
          <p className={styles["plain"]}>{said(activity, "message") ?? "(nothing was recorded)"}</p>
        </div>
      );
    case "assistant_response":
      return (
        <div className={styles["message"]} data-testid="assistant-message">
          <Answer text={said(activity, "message")} />
        </div>
      );
    default:
      return <ToolCall call={activity} />;
  }
}

function Answer({ text }: { readonly text: string | null }) {
  if (text === null) return <p className="quiet">(nothing was recorded)</p>;
  return (
    <Suspense fallback={<p className={styles["plain"]}>{text}</p>}>
      <Markdown text={text} />
    </Suspense>
  );
}

/** A call and what came back, as one step. */
function ToolCall({ call }: { readonly call: Activity }) {
  const response = call.activity_type === "mcp_tool_call" ? call.response : call;
  const status = response == null ? "no answer" : (said(response, "status") ?? "answered");
  const failed = status !== "success" && status !== "ok";
  // One word for it on every page.
  const words = failed ? status : "ok";
  const given = said(call, "parameters") ?? said(call, "arguments");
  const result = response == null ? null : (said(response, "result") ?? said(response, "result_summary") ?? said(response, "error") ?? said(response, "message"));
  const server = said(call, "mcp_server");
  return (
    <details className={styles["tool"]} data-failed={failed} data-testid="tool-call">
      <summary className={styles["summary"]}>
        <ChevronRight size={14} aria-hidden="true" className={styles["chevron"]} />
        <Wrench size={14} aria-hidden="true" />
        <span className={styles["name"]}>{said(call, "tool_name") ?? "a tool"}</span>
        {server !== null && <span className="quiet">{server}</span>}
        <span className={styles["status"]}>{words}</span>
        {call.duration_ms != null && <span className="quiet">{duration(call.duration_ms)}</span>}
      </summary>
      <Part name="Arguments" text={given} />
      <Part name="Result" text={result} />
      {given === null && result === null && <p className="quiet">Neither arguments nor a result were recorded.</p>}
      {call.flow_id !== null && call.node_id !== null && <Link to={to("flow", call.flow_id, { span: call.node_id })}>Show this step in its flow</Link>}
    </details>
  );
}

function Part({ name, text }: { readonly name: string; readonly text: string | null }) {
  if (text === null) return null;
  return (
    <>
      <h3>{name}</h3>
      <pre tabIndex={0} className={styles["part"]}>
        {text}
      </pre>
    </>
  );
}
