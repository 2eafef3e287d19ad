/** Kinds of steps, for their colour. Every part of the dashboard takes it from here. */
export type Kind = "gate" | "model" | "tool" | "agent" | "data" | "span";

const KINDS: Readonly<Record<string, Kind>> = {
  auth_check: "gate",
  security_check: "gate",
  block_check: "gate",
  usage_check: "gate",
  mcp_permission_check: "gate",
  tool_filter: "gate",
  llm_thinking: "model",
  llm_complete: "model",
  embedding: "model",
  tool_call: "tool",
  agent: "agent",
  plan: "agent",
  elicitation: "agent",
  retrieval: "data",
  memory: "data",
  prompt_get: "data",
  resource_read: "data",
};

export const kindOf = (eventType: string | undefined): Kind => KINDS[eventType ?? ""] ?? "span";
