import type { Contents } from "../api/flows";

/** Why contents are missing, in words; undefined when they are recorded or the reason is unknown. */
export interface MissingContents {
  readonly short: string;
  readonly why: string;
}

const MISSING: Readonly<Record<Exclude<Contents, "full">, MissingContents>> = {
  off: { short: "contents not recorded", why: "Prompts, answers, tool arguments and results are not recorded here, by policy (SPANFLOW_CONTENT=off)." },
  hash: { short: "contents as fingerprints", why: "Of prompts, answers, tool arguments and results only fingerprints are recorded here, by policy (SPANFLOW_CONTENT=hash)." },
  mixed: { short: "contents recorded in part", why: "Not all processes of this flow record prompts, answers, tool arguments and results (SPANFLOW_CONTENT)." },
  withheld: { short: "contents not shown", why: "This user is watched without contents: prompts, answers, tool arguments and results are not shown." },
  not_shared: { short: "contents not shared", why: "Prompts, answers, tool arguments and results are not part of this link." },
};

export function missingContents(contents: Contents | null | undefined): MissingContents | undefined {
  return contents === undefined || contents === null || contents === "full" ? undefined : MISSING[contents];
}

/** Types of steps without anything to say: gates, and what wires the others together. */
const SILENT: ReadonlySet<string> = new Set(["auth_check", "security_check", "block_check", "usage_check", "mcp_permission_check", "tool_filter", "span", "error"]);

/** Whether one looks for contents at a step. */
export const mayHaveContents = (eventType: string | undefined) => eventType !== undefined && !SILENT.has(eventType);
