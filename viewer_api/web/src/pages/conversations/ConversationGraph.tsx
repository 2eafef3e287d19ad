import { Background, Controls, Position, ReactFlow, type Edge, type Node, type ReactFlowInstance } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useMemo, useRef } from "react";
import { plainLine } from "../../format";
import { to } from "../../navigation/route";
import { useNavigation } from "../../navigation/useNavigation";
import { said, type Turn } from "./turns";
import styles from "./ConversationGraph.module.css";

const WIDTH = 220;
const HEIGHT = 56;
const GAP_X = 56;
const GAP_Y = 12;
const GAP_TURN = 44;
/** Smaller text cannot be read: a long conversation begins at its top instead. */
const READABLE = 0.75;
const MARGIN = 24;
const MOST_LETTERS = 54;

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
  const frame = useRef<HTMLDivElement>(null);
  return (
    <div ref={frame} className={styles["graph"]} data-testid="conversation-graph">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        onInit={(flow) => showFromTheTop(flow, frame.current?.clientWidth ?? 0)}
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
        <Controls showInteractive={false} position="bottom-right" />
      </ReactFlow>
    </div>
  );
}

/** All of it if that can be read, else its beginning over the whole width. */
function showFromTheTop(flow: ReactFlowInstance, width: number): void {
  void flow.fitView({ maxZoom: 1 }).then(() => {
    if (flow.getZoom() >= READABLE) return;
    const wide = (width - 2 * MARGIN) / flow.getNodesBounds(flow.getNodes()).width;
    void flow.setViewport({ x: MARGIN, y: MARGIN, zoom: Math.min(Math.max(wide, READABLE), 1) });
  });
}

/** Each turn is a line: its question, its tools below each other, its answer. Lines stand below each other, so that many turns stay readable. */
function laidOut(turns: readonly Turn[]): { nodes: Node[]; edges: Edge[] } {
  const nodes: Node[] = [];
  const edges: Edge[] = [];
  let top = 0;
  let last: string | undefined;
  for (const turn of turns) {
    const columns = layers(turn);
    const tallest = Math.max(1, ...columns.map((column) => column.length));
    let before: readonly string[] = last === undefined ? [] : [last];
    columns.forEach((column, x) => {
      column.forEach(({ id, text, kind, flowId }, y) => {
        const offset = ((tallest - column.length) * (HEIGHT + GAP_Y)) / 2;
        nodes.push({
          id,
          position: { x: x * (WIDTH + GAP_X), y: top + offset + y * (HEIGHT + GAP_Y) },
          data: { label: text, flowId },
          className: `${styles["node"]} ${styles[kind]}`,
          sourcePosition: Position.Right,
          targetPosition: Position.Left,
        });
        for (const from of before) edges.push({ id: `${from} ${id}`, source: from, target: id, ...(x === 0 ? { type: "smoothstep" } : {}) });
      });
      before = column.map(({ id }) => id);
    });
    last = before[0] ?? last;
    top += tallest * (HEIGHT + GAP_Y) + GAP_TURN;
  }
  return { nodes, edges };
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

function shortened(said: string): string {
  const text = plainLine(said);
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text;
}
