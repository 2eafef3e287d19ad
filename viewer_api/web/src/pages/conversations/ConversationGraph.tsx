import dagre from "@dagrejs/dagre";
import { Background, Controls, ReactFlow, type Edge, type Node } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useMemo } from "react";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { said, type Turn } from "./turns";
import styles from "./ConversationGraph.module.css";

const WIDTH = 220;
const HEIGHT = 56;
const MOST_LETTERS = 64;

interface Step {
  readonly id: string;
  readonly text: string;
  readonly kind: "person" | "tool" | "assistant" | "flow";
  readonly flowId: string | null;
}

/** The same conversation as a graph: from question over tools to answer, and on to the next turn. */
export default function ConversationGraph({ turns }: { readonly turns: readonly Turn[] }) {
  const { go } = useNavigation();
  const { nodes, edges } = useMemo(() => laidOut(turns), [turns]);
  return (
    <div className={styles["graph"]} data-testid="conversation-graph">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        fitView
        minZoom={0.1}
        nodesDraggable={false}
        nodesConnectable={false}
        colorMode="system"
        proOptions={{ hideAttribution: true }}
        onNodeClick={(_, node) => {
          const flowId = node.data["flowId"];
          if (typeof flowId === "string") go(to("flow", flowId));
        }}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function laidOut(turns: readonly Turn[]): { nodes: Node[]; edges: Edge[] } {
  const graph = new dagre.graphlib.Graph().setGraph({ rankdir: "TB", nodesep: 24, ranksep: 36 }).setDefaultEdgeLabel(() => ({}));
  const steps: Step[] = [];
  const pairs: [string, string][] = [];
  let before: readonly string[] = [];
  const next = (those: readonly Step[]) => {
    steps.push(...those);
    for (const from of before) for (const step of those) pairs.push([from, step.id]);
    before = those.map(({ id }) => id);
  };
  for (const turn of turns) for (const layer of layers(turn)) next(layer);
  for (const { id } of steps) graph.setNode(id, { width: WIDTH, height: HEIGHT });
  for (const [from, target] of pairs) graph.setEdge(from, target);
  dagre.layout(graph);
  return {
    nodes: steps.map(({ id, text, kind, flowId }) => {
      const { x, y } = graph.node(id);
      return {
        id,
        position: { x: x - WIDTH / 2, y: y - HEIGHT / 2 },
        data: { label: text, flowId },
        className: `${styles["node"]} ${styles[kind]}`,
      };
    }),
    edges: pairs.map(([source, target]) => ({ id: `${source} ${target}`, source, target })),
  };
}

/** What was done after each other; tools between two messages side by side. */
function layers({ activities, flow, flowId }: Turn): readonly (readonly Step[])[] {
  const found: Step[][] = [];
  let tools: Step[] = [];
  for (const activity of activities) {
    const tool = activity.activity_type !== "user_message" && activity.activity_type !== "assistant_response";
    const step: Step = {
      id: activity.activity_id,
      text: shortened((tool ? said(activity, "tool_name") : said(activity, "message")) ?? activity.activity_type),
      kind: tool ? "tool" : activity.activity_type === "user_message" ? "person" : "assistant",
      flowId,
    };
    if (tool) {
      if (tools.length === 0) found.push((tools = []));
      tools.push(step);
    } else {
      tools = [];
      found.push([step]);
    }
  }
  if (found.length === 0 && flow !== null) {
    found.push([{ id: flow.flow_id, text: shortened(`${flow.name ?? "turn"}: ${flow.outcome ?? "running"}`), kind: "flow", flowId }]);
  }
  return found;
}

function shortened(text: string): string {
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text;
}
