import { clockTime, durationNs, valueText } from "../format";
import type { TreeNode } from "../reducer/tree";
import { appearance, label } from "../tree/appearance";
import { elapsedNs } from "../tree/timeline";

interface Props {
  readonly node: TreeNode;
  readonly nowNs: bigint;
  readonly onClose: () => void;
}

/** Everything that is recorded of one node. */
export function NodeDetails({ node, nowNs, onClose }: Props) {
  const { entry } = node;
  const elapsed = elapsedNs(node, nowNs);
  const facts: [string, string | undefined][] = [
    ["State", appearance(node).words],
    ["Name", entry?.name],
    ["Type", entry?.event_type],
    ["Began", node.startNs === undefined ? undefined : clockTime(node.startNs)],
    ["Took", elapsed === undefined ? undefined : durationNs(elapsed)],
    ["Message", entry?.status_message],
    ["Process", entry?.process],
    ["Node", node.nodeId],
    ["Parent", entry?.parent_id ?? undefined],
  ];
  const attributes = Object.entries(entry?.attributes ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <section className="details" aria-label={`Details of ${label(node)}`} data-testid="details">
      <button type="button" onClick={onClose} aria-label="Close the details">
        ✕
      </button>
      <dl>
        {facts.map(([name, value]) => value !== undefined && value !== "" && <Fact key={name} name={name} value={value} />)}
        {attributes.map(([name, value]) => (
          <Fact key={`a ${name}`} name={name} value={valueText(value)} />
        ))}
        {(entry?.logs ?? []).map((log, index) => (
          <Fact key={`l ${index}`} name={log.name} value={valueText(log.attributes ?? {})} />
        ))}
      </dl>
    </section>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}
