import { Copy, X } from "lucide-react";
import { clockTime, durationNs, valueText } from "../format";
import type { SpanEvent } from "../reducer/event";
import { rowOf, type TreeNode } from "../reducer/tree";
import { appearance, label } from "../tree/appearance";
import { elapsedNs } from "../tree/timeline";
import { IconButton } from "../ui/Button";
import { Menu } from "../ui/Overlay";
import { tell } from "../ui/Toasts";
import { StateSign } from "./StateSign";
import styles from "./SpanDetails.module.css";

interface Props {
  readonly node: TreeNode;
  readonly nowNs: bigint;
  /** The address of this span, for others. */
  readonly link: string;
  readonly onClose: () => void;
}

/** Everything that is recorded of one span. It stands beside the tree, whatever goes on there. */
export function SpanDetails({ node, nowNs, link, onClose }: Props) {
  const { entry } = node;
  const look = appearance(node);
  const elapsed = elapsedNs(node, nowNs);
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["State", look.words],
    ["Name", entry?.name],
    ["Type", entry?.event_type],
    ["Kind", entry?.kind],
    ["Began", node.startNs === undefined ? undefined : clockTime(node.startNs)],
    ["Clock", node.outsideFlow ? `wrong: it says that it began ${ownStart(entry)}` : undefined],
    ["Took", elapsed === undefined ? undefined : durationNs(elapsed)],
    ["Message", entry?.status_message],
    ["Process", entry?.process],
    ["Span", node.nodeId],
    ["Parent", entry?.parent_id ?? undefined],
  ];
  const attributes = Object.entries(entry?.attributes ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const copy = (what: string, text: string) => void navigator.clipboard.writeText(text).then(() => tell(`${what} copied`));
  return (
    <section className={styles["details"]} aria-label={`Details of ${label(node)}`} data-testid="details">
      <header className={styles["head"]}>
        <StateSign look={look} />
        <h2 className="truncate" title={label(node)}>
          {label(node)}
        </h2>
        <Menu
          label="Copy"
          entries={[
            { id: "link", text: "Link to this span", onAction: () => copy("Link", link) },
            { id: "id", text: "Span id", onAction: () => copy("Span id", node.nodeId) },
            { id: "json", text: "JSON", onAction: () => copy("JSON", JSON.stringify(rowOf(node), null, 2)) },
          ]}
        >
          <IconButton icon={Copy} label="Copy" />
        </Menu>
        <IconButton icon={X} label="Close the details" keys="Esc" onPress={onClose} />
      </header>
      <div className={styles["body"]} tabIndex={0}>
        <Facts facts={facts} />
        {attributes.length > 0 && (
          <>
            <h3>Attributes</h3>
            <Facts facts={attributes.map(([name, value]) => [name, valueText(value)] as const)} />
          </>
        )}
        {(entry?.logs ?? []).map((log, index) => (
          <LogRecord key={index} log={log} />
        ))}
      </div>
    </section>
  );
}

function ownStart(entry: SpanEvent | undefined): string {
  const text = entry?.start_ns ?? entry?.end_ns;
  return text === undefined ? "" : new Date(Number(BigInt(text) / 1_000_000n)).toISOString();
}

/** An event of the span. A stack trace keeps its lines. */
function LogRecord({ log }: { readonly log: NonNullable<SpanEvent["logs"]>[number] }) {
  const attributes = Object.entries(log.attributes ?? {});
  const trace = attributes.find(([name]) => name === "exception.stacktrace")?.[1];
  return (
    <>
      <h3>{log.name}</h3>
      <Facts facts={attributes.filter(([name]) => name !== "exception.stacktrace").map(([name, value]) => [name, valueText(value)] as const)} />
      {typeof trace === "string" && <pre className={styles["trace"]}>{trace}</pre>}
    </>
  );
}

function Facts({ facts }: { readonly facts: readonly (readonly [string, string | undefined])[] }) {
  return (
    <dl className={styles["facts"]}>
      {facts.map(
        ([name, value]) =>
          value !== undefined &&
          value !== "" && (
            <div key={name} className={styles["fact"]}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
