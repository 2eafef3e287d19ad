import type { Contents } from "../api/flows";
import { Copy, CornerLeftUp, Pin, PinOff, X, ZoomIn } from "lucide-react";
import { Fragment } from "react";
import { clockTime, duration, durationNs, valueText } from "../format";
import { Link } from "../navigation/Link";
import { to } from "../navigation/route";
import type { Attributes, SpanEvent } from "../reducer/event";
import { rowOf, type TreeNode } from "../reducer/tree";
import { appearance, label, type Appearance } from "../tree/appearance";
import { mayHaveContents, missingContents } from "../tree/contents";
import { firstTokenMs } from "../tree/firstToken";
import { cutOf, redactions } from "../tree/gaps";
import { spanMarkdown } from "../tree/markdown";
import { isTraceName, linesOfTrace } from "../tree/stackTrace";
import { elapsedNs } from "../tree/timeline";
import { IconButton } from "../ui/Button";
import { Menu } from "../ui/Overlay";
import { copyText, curlOf } from "./clipboard";
import { percentileText } from "./PercentileBadge";
import { StateSign } from "./StateSign";
import styles from "./SpanDetails.module.css";

interface Props {
  readonly flowId: string;
  readonly node: TreeNode;
  readonly nowNs: bigint;
  /** A flow's root looks as its flow does. */
  readonly look?: Appearance;
  /** How many of 100 steps of its kind took no longer, where that is known. */
  readonly percentile?: number | undefined;
  /** The address of this span, for others. */
  readonly link: string;
  /** What there is of contents in its flow. */
  readonly contents?: Contents | null | undefined;
  /** Whether nothing but its flow can be reached. */
  readonly alone?: boolean;
  readonly onClose: () => void;
  /** Left out where there is no view of one flow around it. */
  readonly actions?: SpanActions;
}

/** What the view of a flow can do with a span. */
export interface SpanActions {
  readonly pinned: boolean;
  readonly onPin: () => void;
  readonly onRoot: () => void;
  readonly onZoom: () => void;
}

/** Everything that is recorded of one span. It stands beside the tree, whatever goes on there. */
export function SpanDetails({ flowId, node, nowNs, look = appearance(node), percentile, link, contents, alone = false, onClose, actions }: Props) {
  const { entry } = node;
  const elapsed = elapsedNs(node, nowNs);
  const redacted = entry === undefined ? 0 : redactions(entry);
  const cut = entry === undefined ? 0 : cutOf(entry);
  const firstToken = firstTokenMs(entry?.attributes);
  const missing = mayHaveContents(entry?.event_type) ? missingContents(contents) : undefined;
  const facts: readonly Fact[] = [
    ["State", look.words],
    ["Message", entry?.status_message],
    ["Name", entry?.name],
    ["Type", entry?.event_type],
    ["Kind", entry?.kind],
    ["Began", node.startNs === undefined ? undefined : clockTime(node.startNs)],
    ["Clock", node.outsideFlow ? `wrong: it says that it began ${ownStart(entry)}` : undefined],
    ["Took", elapsed === undefined ? undefined : durationNs(elapsed)],
    ["First token", firstToken === undefined ? undefined : `after ${duration(firstToken)}`],
    ["Percentile", percentile === undefined ? undefined : percentileText(percentile)],
    ["Redacted", redacted === 0 ? undefined : `${redacted} ${redacted === 1 ? "value" : "values"}`],
    ["Truncated", cut === 0 ? undefined : `${cut} attributes, logs or links were cut by a limit`],
    ["Process", entry?.process],
    ["Scope", entry?.scope],
    ["Span", node.nodeId],
    ["Parent", entry?.parent_id ?? undefined],
  ];
  return (
    <section className={styles["details"]} aria-label={`Details of ${label(node)}`} data-testid="details">
      <header className={styles["head"]}>
        <StateSign look={look} />
        <h2 className="truncate" title={label(node)}>
          {label(node)}
        </h2>
        {actions !== undefined && (
          <>
            <IconButton icon={ZoomIn} label="Zoom to the time of this span" keys="z" onPress={actions.onZoom} />
            <IconButton icon={CornerLeftUp} label="Show only what is below this span" keys="r" onPress={actions.onRoot} />
            <IconButton icon={actions.pinned ? PinOff : Pin} label={actions.pinned ? "Unpin" : "Pin to the top"} keys="p" onPress={actions.onPin} />
          </>
        )}
        <Menu
          label="Copy"
          entries={[
            { id: "link", text: "Link to this span", onAction: () => copyText("Link", link) },
            { id: "id", text: "Span id", onAction: () => copyText("Span id", node.nodeId) },
            { id: "json", text: "JSON", onAction: () => copyText("JSON", JSON.stringify(rowOf(node), null, 2)) },
            ...(alone ? [] : [{ id: "curl", text: "cURL", hint: "of its flow", onAction: () => copyText("cURL", curlOf(flowId)) }]),
            { id: "markdown", text: "Markdown", onAction: () => copyText("Markdown", spanMarkdown(node, nowNs, link)) },
          ]}
        >
          <IconButton icon={Copy} label="Copy" />
        </Menu>
        <IconButton icon={X} label="Close the details" keys="Esc" onPress={onClose} />
      </header>
      <div className={styles["body"]} tabIndex={0} role="region" aria-label="What is recorded">
        <Facts facts={facts} />
        <Recorded title="Attributes" attributes={entry?.attributes} />
        {missing !== undefined && (
          <p className="quiet" data-testid="missing-contents">
            {missing.why}
          </p>
        )}
        {(entry?.logs ?? []).map((log, index) => (
          <Recorded key={index} title={log.name} attributes={log.attributes} aside={sinceStart(log.time_ns, node.startNs)} always />
        ))}
        <Links links={entry?.links ?? []} alone={alone} />
      </div>
    </section>
  );
}

type Fact = readonly [string, string | undefined];

function ownStart(entry: SpanEvent | undefined): string {
  const text = entry?.start_ns ?? entry?.end_ns;
  return text === undefined ? "" : new Date(Number(BigInt(text) / 1_000_000n)).toISOString();
}

function sinceStart(timeNs: string, startNs: bigint | undefined): string | undefined {
  if (startNs === undefined || !/^[0-9]{1,20}$/.test(timeNs)) return undefined;
  const since = BigInt(timeNs) - startNs;
  return since < 0n ? undefined : `after ${durationNs(since)}`;
}

interface RecordedProps {
  readonly title: string;
  readonly attributes: Attributes | undefined;
  readonly aside?: string | undefined;
  /** Whether the title alone says something. */
  readonly always?: boolean;
}

/** Attributes of the span or of one of its events. A stack trace keeps its lines. */
function Recorded({ title, attributes = {}, aside, always = false }: RecordedProps) {
  const all = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  if (all.length === 0 && !always) return null;
  const traces = all.filter(([name, value]) => isTraceName(name) && typeof value === "string");
  const rest = all.filter((each) => !traces.includes(each));
  return (
    <section>
      <h3>
        {title} {aside !== undefined && <span className="quiet">{aside}</span>}
      </h3>
      <Facts facts={rest.map(([name, value]) => [name, valueText(value)] as const)} />
      {traces.map(([name, value]) => (
        <pre key={name} className={styles["trace"]} tabIndex={0} aria-label={name} data-testid="stack-trace">
          {linesOfTrace(String(value)).map(({ text, kind }, index) => (
            <span key={index} className={styles[kind]}>
              {text}
              {"\n"}
            </span>
          ))}
        </pre>
      ))}
    </section>
  );
}

/** Spans that this one refers to, in this or another flow. */
function Links({ links, alone }: { readonly links: readonly Record<string, unknown>[]; readonly alone: boolean }) {
  if (links.length === 0) return null;
  return (
    <section data-testid="span-links">
      <h3>Links</h3>
      <ul>
        {links.map((each, index) => {
          const flowId = String(each["trace_id"] ?? "");
          const spanId = String(each["span_id"] ?? "");
          const words = (
            <>
              <code>{flowId.slice(0, 8)}…</code> span <code>{spanId}</code>
            </>
          );
          return (
            <li key={index}>
              {alone ? words : <Link to={to("flow", flowId, { span: spanId })}>{words}</Link>}
              <Facts facts={Object.entries((each["attributes"] ?? {}) as Attributes).map(([name, value]) => [name, valueText(value)] as const)} />
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** A name of many parts is broken between them, and not before its last letter. */
function breakable(name: string) {
  return name.split(/(?<=[._])/).map((part, index) => (
    <Fragment key={index}>
      {index > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}

function Facts({ facts }: { readonly facts: readonly Fact[] }) {
  return (
    <dl className={styles["facts"]}>
      {facts.map(
        ([name, value]) =>
          value !== undefined &&
          value !== "" && (
            <div key={name} className={styles["fact"]}>
              <dt>{breakable(name)}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
