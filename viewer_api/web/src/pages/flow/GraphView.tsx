import dagre from "@dagrejs/dagre";
import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps, type ReactFlowInstance } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useMemo } from "react";
import { StateSign } from "../../components/StateSign";
import { durationNs } from "../../format";
import type { FlowTree } from "../../hooks/useFlowTree";
import type { TreeNode } from "../../reducer/tree";
import { appearance, label, worst, type Appearance } from "../../tree/appearance";
import { kindOf, type Kind } from "../../tree/kind";
import { rowsOf, toggled, type Focus, type Row } from "../../tree/rows";
import { elapsedNs } from "../../tree/timeline";
import { Notice } from "../../ui/Notice";
import styles from "./GraphView.module.css";

interface Props {
  readonly shown: FlowTree;
  readonly root: TreeNode | undefined;
  readonly focus: Focus;
  readonly onFocus: (focus: Focus) => void;
  readonly selected: string | null;
  readonly onSelect: (nodeId: string | null) => void;
  readonly critical: ReadonlySet<string> | undefined;
}

interface StepData extends Record<string, unknown> {
  readonly title: string;
  readonly look: Appearance;
  readonly kind: Kind;
  readonly took: string;
  readonly critical: boolean;
  readonly count: number;
}

/** More would take too long to lay out and could not be read. */
const MOST = 400;
const WIDTH = 320;
/** Smaller text cannot be read. */
const READABLE = 0.6;
/** What stands in the middle of the view then: on a phone, the root is at its edge. */
const BESIDE_ROOT = 270;
const HEIGHT = 46;
const NODE_TYPES = { step: Step };

/** The steps as a graph, from left to right. What is folded in the tree is folded here, and the same step is chosen. */
export default function GraphView({ shown, root, focus, onFocus, selected, onSelect, critical }: Props) {
  const { tree, nowNs, rootLook } = shown;
  const roots = useMemo(() => (root === undefined ? tree.roots : [root]), [root, tree]);
  const all = useMemo(() => rowsOf(roots, focus), [roots, focus.collapsed, focus.opened]);
  const rows = all.slice(0, MOST);
  const shape = rows.map((row) => `${row.key}>${row.parent}`).join();
  // Only a new step or fold moves anything: the clock does not.
  const places = useMemo(() => laidOut(rows), [shape]);
  const nodes = rows.map((row): Node<StepData> => {
    const look = row.run !== null ? worst(row.run) : row.key === rootLook?.nodeId ? rootLook.look : appearance(row.node);
    const elapsed = elapsedNs(row.node, nowNs);
    return {
      id: row.key,
      type: "step",
      position: places.get(row.key) ?? { x: 0, y: 0 },
      width: WIDTH,
      height: HEIGHT,
      selected: row.key === selected,
      ariaLabel: `${label(row.node)}, ${look.words}`,
      data: {
        title: label(row.node),
        look,
        kind: kindOf(row.node.entry?.event_type),
        took: elapsed === undefined || row.run !== null ? "" : durationNs(elapsed),
        critical: critical?.has(row.node.nodeId) === true,
        count: row.run?.length ?? 1,
      },
    };
  });
  const edges = useMemo(() => edgesOf(rows), [shape]);
  const choose = (key: string) => {
    const row = rows.find((each) => each.key === key);
    if (row === undefined) return;
    if (row.run !== null) onFocus(toggled(focus, row));
    else onSelect(selected === key ? null : key);
  };
  return (
    <div className={styles["graph"]} data-testid="graph">
      {all.length > MOST && (
        <Notice>
          The first {MOST} of {all.length} steps are drawn. Fold some in the tree, or show only what is below one of them.
        </Notice>
      )}
      <div className={styles["canvas"]}>
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_TYPES}
          onNodeClick={(_, node) => choose(node.id)}
          nodesDraggable={false}
          nodesConnectable={false}
          edgesFocusable={false}
          onInit={showReadably}
          minZoom={0.1}
          onlyRenderVisibleElements
          proOptions={{ hideAttribution: false }}
          aria-label="Graph of the flow"
        >
          <Background gap={24} />
          <Controls showInteractive={false} />
        </ReactFlow>
      </div>
    </div>
  );
}

/** All of it if that can be read, else where it begins. */
function showReadably(flow: ReactFlowInstance<Node<StepData>>): void {
  void flow.fitView({ maxZoom: 1, padding: 0.1 }).then(() => {
    const root = flow.getNodes()[0];
    if (root === undefined || flow.getZoom() >= READABLE) return;
    // The root stands beside the middle of its children.
    void flow.setCenter(root.position.x + BESIDE_ROOT, root.position.y + HEIGHT / 2, { zoom: READABLE });
  });
}

function laidOut(rows: readonly Row[]): ReadonlyMap<string, { x: number; y: number }> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 10, ranksep: 46 });
  graph.setDefaultEdgeLabel(() => ({}));
  // Backwards: of siblings, dagre puts the one that it hears of first at the bottom.
  for (const row of [...rows].reverse()) graph.setNode(row.key, { width: WIDTH, height: HEIGHT });
  for (const { source, target } of edgesOf(rows).reverse()) graph.setEdge(source, target);
  dagre.layout(graph);
  return new Map(
    rows.map(({ key }) => {
      const { x, y } = graph.node(key);
      return [key, { x: x - WIDTH / 2, y: y - HEIGHT / 2 }] as const;
    }),
  );
}

function edgesOf(rows: readonly Row[]): Edge[] {
  return rows.flatMap((row) => {
    const parent = rows[row.parent];
    return parent === undefined ? [] : [{ id: `${parent.key} ${row.key}`, source: parent.key, target: row.key, focusable: false }];
  });
}

function Step({ data, selected }: NodeProps<Node<StepData>>) {
  return (
    <div className={styles["step"]} data-kind={data.kind} data-look={data.look.look} data-selected={selected} data-critical={data.critical} data-testid="graph-node">
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className={styles["title"]}>
        <StateSign look={data.look} />
        <span className="truncate" title={data.title}>
          {data.title}
        </span>
      </span>
      <span className={styles["took"]}>{data.count > 1 ? `× ${data.count}` : data.took}</span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}
