import STATE_TABLE from "../../../spanflow/cli/terminal/states.json";
import { outcomeOf } from "../reducer/httpAnswer";
import type { TreeNode } from "../reducer/tree";

/** How a node looks and what it is called: never by colour alone. */
export interface Appearance {
  /** Name of the CSS class that colours it, and of the row's `data-look`. */
  readonly look: string;
  readonly sign: string;
  readonly words: string;
}

/** One table for the dashboard and the terminal. */
const shown = (state: keyof typeof STATE_TABLE, look: string = state): Appearance => ({
  look,
  sign: STATE_TABLE[state].sign,
  words: STATE_TABLE[state].words,
});
const OUTCOMES: Readonly<Record<string, Appearance>> = {
  ok: shown("ok"),
  denied: shown("denied"),
  error: shown("error"),
  cancelled: shown("cancelled"),
  interrupted: shown("interrupted", "lost"),
};
const STATES: Readonly<Record<string, Appearance>> = {
  running: shown("running"),
  slow: shown("slow"),
  stalled: shown("stalled"),
  lost: shown("lost"),
};
const PLACEHOLDER: Appearance = { look: "unknown", sign: "…", words: "not seen yet" };

export function appearance(node: TreeNode): Appearance {
  if (node.entry === undefined || node.state === null) return PLACEHOLDER;
  const open = STATES[node.state];
  if (open !== undefined) return open;
  const outcome = outcomeOf(node.entry).outcome ?? (node.entry.status === "error" ? "error" : "ok");
  return OUTCOMES[outcome] ?? (OUTCOMES["ok"] as Appearance);
}

/** The look of a whole flow by its outcome; an open one is running. */
export function outcomeAppearance(outcome: string | null, open: boolean): Appearance {
  const found = open ? STATES["running"] : OUTCOMES[outcome ?? ""];
  return found ?? { look: "unknown", sign: "–", words: outcome ?? "unknown" };
}

const GRAVITY = ["ok", "cancelled", "running", "slow", "stalled", "lost", "denied", "error"];

/** How several nodes that stand behind one line look: as the worst of them. */
export function worst(nodes: readonly TreeNode[]): Appearance {
  let found = PLACEHOLDER;
  for (const node of nodes) {
    const look = appearance(node);
    if (GRAVITY.indexOf(look.look) > GRAVITY.indexOf(found.look)) found = look;
  }
  return found;
}

/** What a node is called: its step and what it works on, or its name. */
export function label(node: TreeNode): string {
  const { entry } = node;
  if (entry === undefined) return "(its parent has not arrived)";
  const type = entry.event_type ?? "span";
  const name = entry.name ?? "";
  if (type === "span") return name === "" ? "(start not seen)" : name;
  const tool = entry.attributes?.["flow.data.tool"] ?? entry.attributes?.["gen_ai.tool.name"];
  const subject = typeof tool === "string" ? tool : name;
  return subject === "" || subject === type ? type : `${type} · ${subject}`;
}

/** Why a step was refused or failed, if it says. */
export function explanation(node: TreeNode): string | null {
  const { entry } = node;
  if (entry === undefined) return null;
  const reason = entry.attributes?.["flow.denied.reason"];
  if (typeof reason === "string") return reason;
  return entry.status_message ?? reasonWords(outcomeOf(entry).reason);
}

const REASONS: Readonly<Record<string, string>> = {
  unauthenticated: "not signed in",
  forbidden: "forbidden",
  rate_limited: "rate limit exceeded",
  caller_error: "the caller's error",
  server_error: "server error",
};

/** Which kind of denial or error it was, in words. */
export function reasonWords(reason: string | null): string | null {
  return reason === null ? null : (REASONS[reason] ?? reason);
}
