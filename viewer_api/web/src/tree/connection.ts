import type { FlowModel } from "../live/liveFlows";
import { rootOf } from "../reducer/flowTimes";
import { connectionPath } from "./requestText";

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
  const path = connectionPath(rootOf(entries)?.name ?? "");
  if (path === null) return null;
  const quiet = entries.every(
    ({ event_type: type, outcome, status }) => NO_STEP.has(type ?? "span") && (outcome ?? "ok") === "ok" && status !== "error",
  );
  return quiet ? path : null;
}
