import type { FlowModel } from "../live/liveFlows";
import { rootOf } from "../reducer/flowTimes";

/** How the flow of a WebSocket is called, and that of a message on it. */
const WEBSOCKET = "WS ";
const MESSAGE = " message";
/** What a connection comes to before anything is said on it. */
const NO_STEP: ReadonlySet<string> = new Set(["auth_check", "span"]);
/** A connection has no more spans. */
const MOST_SPANS = 8;

/**
 * The connection that a flow stands for, if it stands for nothing else: each message on it is a flow of its own. One that
 * was refused or failed is worth a row like any other. The viewer leaves the same ones out of lists.
 */
export function connectionOf(model: FlowModel): string | null {
  if (model.size === 0 || model.size > MOST_SPANS) return null;
  const entries = model.entries();
  const name = rootOf(entries)?.name ?? "";
  if (!name.startsWith(WEBSOCKET) || name.endsWith(MESSAGE)) return null;
  const quiet = entries.every(
    ({ event_type: type, outcome, status }) => NO_STEP.has(type ?? "span") && (outcome ?? "ok") === "ok" && status !== "error",
  );
  return quiet ? name.slice(WEBSOCKET.length) : null;
}
