import { Bot, User, Wrench } from "lucide-react";
import { useState, type ReactNode } from "react";
import type { Activity } from "../api/conversations";
import { clockTimeOf, duration, valueText } from "../format";
import { Button } from "../ui/Button";
import Markdown from "./Markdown";
import styles from "./Transcript.module.css";

interface Props {
  readonly activities: readonly Activity[];
  /** Shows the span in which it happened. */
  readonly onSelect?: (nodeId: string) => void;
}

/** What a person saw: what was asked, the tools with their answers, what was answered. */
export function Transcript({ activities, onSelect }: Props) {
  return (
    <ol className={styles["transcript"]} data-testid="transcript">
      {activities.map((activity) => (
        <li key={activity.activity_id} data-testid="activity" data-type={activity.activity_type}>
          <Entry activity={activity} {...(onSelect === undefined ? {} : { onSelect })} />
        </li>
      ))}
    </ol>
  );
}

function Entry({ activity, onSelect }: { readonly activity: Activity; readonly onSelect?: (nodeId: string) => void }) {
  const data = activity.activity_data ?? {};
  const nodeId = activity.node_id;
  const time = (
    <span className={styles["facts"]}>
      {clockTimeOf(activity.created_at)}
      {nodeId !== null && onSelect !== undefined && (
        <button type="button" className={styles["link"]} onClick={() => onSelect(nodeId)}>
          Show the step
        </button>
      )}
    </span>
  );
  switch (activity.activity_type) {
    case "user_message":
      return (
        <article className={`${styles["entry"]} ${styles["user"]}`}>
          <Head icon={User} title="User" time={time} />
          <Long text={textOf(data)} plain />
        </article>
      );
    case "assistant_response":
      return (
        <article className={styles["entry"]}>
          <Head icon={Bot} title={typeof data["model"] === "string" ? data["model"] : "Assistant"} time={time} />
          <Long text={textOf(data)} />
        </article>
      );
    default:
      return <Tool activity={activity} time={time} />;
  }
}

function Head({ icon: Icon, title, time }: { readonly icon: typeof User; readonly title: string; readonly time: ReactNode }) {
  return (
    <header className={styles["head"]}>
      <Icon size={15} aria-hidden="true" />
      <strong className="truncate" title={title}>
        {title}
      </strong>
      {time}
    </header>
  );
}

/** A tool call with what came back. */
function Tool({ activity, time }: { readonly activity: Activity; readonly time: ReactNode }) {
  const data = activity.activity_data ?? {};
  const answer = activity.response?.activity_data ?? null;
  const title = [data["mcp_server"], data["tool_name"]].filter((part) => typeof part === "string").join(" · ");
  const failed = answer !== null && answer["status"] !== undefined && answer["status"] !== "success" && answer["status"] !== "ok";
  const took = activity.duration_ms ?? null;
  return (
    <article className={`${styles["entry"]} ${styles["tool"]}`} data-failed={failed}>
      <Head icon={Wrench} title={title === "" ? activity.activity_type : title} time={time} />
      <p className="quiet">
        {answer === null ? (activity.activity_type === "mcp_tool_call" ? "no response yet" : "") : failed ? `failed${took === null ? "" : ` after ${duration(took)}`}` : `answered${took === null ? "" : ` in ${duration(took)}`}`}
      </p>
      <Value title="Arguments" value={data["parameters"]} />
      <Value title={failed ? "Error" : "Result"} value={answer?.["result"] ?? answer?.["result_summary"] ?? answer?.["error"] ?? answer?.["error_message"]} />
    </article>
  );
}

function Value({ title, value }: { readonly title: string; readonly value: unknown }) {
  if (value === undefined || value === null || value === "") return null;
  return (
    <details open={valueText(value).length < SHORT}>
      <summary>{title}</summary>
      <pre tabIndex={0}>{valueText(value)}</pre>
    </details>
  );
}

const SHORT = 400;
const LONG = 1500;

/** A long message shows its beginning first. */
function Long({ text, plain = false }: { readonly text: string; readonly plain?: boolean }) {
  const [whole, setWhole] = useState(false);
  const shown = whole || text.length <= LONG ? text : `${text.slice(0, LONG)}…`;
  return (
    <div className={styles["text"]}>
      {text === "" ? <p className="quiet">Its text is not recorded.</p> : plain ? <p className={styles["plain"]}>{shown}</p> : <Markdown text={shown} />}
      {text.length > LONG && (
        <Button look="plain" onPress={() => setWhole(!whole)}>
          {whole ? "Show less" : `Show all ${text.length} characters`}
        </Button>
      )}
    </div>
  );
}

function textOf(data: Readonly<Record<string, unknown>>): string {
  const text = data["message"] ?? data["content"] ?? data["text"];
  return text === undefined || text === null ? "" : valueText(text);
}
