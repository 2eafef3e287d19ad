import type { LiveFlows } from "./liveFlows";
import type { ServerMessage } from "./messages";

/**
 * Takes what a message says of flows into `flows`: the same for what happens now and for what is played again. False for a
 * message that says nothing of them.
 */
export function applied(flows: LiveFlows, message: ServerMessage, nowMs: () => number): boolean {
  switch (message.type) {
    case "events":
      for (const event of message.events) addEvent(flows, event);
      flows.heard(message.events.length, nowMs());
      return true;
    case "snapshot": {
      const flow = flows.flow(message.flow_id);
      flow.addAll(message.events);
      flow.truncated ||= message.truncated;
      flows.heard(message.events.length, null);
      return true;
    }
    case "flow":
      flows.flow(message.flow_id).open = message.open;
      return true;
    case "process":
      flows.flow(message.flow_id).setProcess(message.process, message.alive);
      return true;
    case "usual":
      flows.setUsual(message.p95_ns);
      return true;
    default:
      return false;
  }
}

function addEvent(flows: LiveFlows, event: unknown): void {
  const flowId = typeof event === "object" && event !== null && "flow_id" in event ? event.flow_id : undefined;
  if (typeof flowId === "string") flows.flow(flowId).addAll([event]);
}
