import type { FlowPreview, FlowSummary } from "../api/flows";

/** How the flow of a WebSocket is called, and that of a message on it. */
export const WEBSOCKET = "WS ";
export const MESSAGE = " message";

/** The path of the connection that a flow of this name stands for; null for every other flow. */
export const connectionPath = (name: string): string | null => (name.startsWith(WEBSOCKET) && !name.endsWith(MESSAGE) ? name.slice(WEBSOCKET.length) : null);

/** What a flow is called in a list: what was asked, or else what it was. */
export function requestText({ name, flow_id: flowId }: Pick<FlowSummary, "name" | "flow_id">, preview: FlowPreview | null | undefined): string {
  if (preview?.question != null) return preview.question;
  const path = name === null ? null : connectionPath(name);
  return path === null ? (name ?? flowId) : `Connection to ${path}`;
}
