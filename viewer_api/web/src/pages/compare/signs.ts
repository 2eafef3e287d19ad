import type { ComparedRow, Status } from "../../api/compare";
import { duration } from "../../format";

interface Sign {
  readonly sign: string;
  readonly text: string;
}

/** How each status looks: a sign as well as a colour. */
export const SIGNS: Readonly<Record<Status, Sign>> = {
  slower: { sign: "▲", text: "slower" },
  faster: { sign: "▼", text: "faster" },
  changed: { sign: "≠", text: "changed" },
  added: { sign: "+", text: "only in B" },
  removed: { sign: "−", text: "only in A" },
  missing: { sign: "−", text: "missing" },
  same: { sign: "=", text: "the same" },
  unknown: { sign: "?", text: "not known" },
};

/** What a row's status means: beside the usual flow, a step that only this one has is an unusual one. */
export const wordOf = (status: Status, usual: boolean): string => (usual && status === "added" ? "unusual" : SIGNS[status].text);

/** Less is not shown as a difference: half a microsecond. */
const LEAST_MS = 0.0005;

/** A difference with its sign: `+230 ms`, `−1.4 s`, `±0`. */
export function signed(ms: number | null): string {
  if (ms === null) return "–";
  const size = Math.abs(ms);
  if (size < LEAST_MS) return "±0";
  return `${ms > 0 ? "+" : "−"}${duration(size)}`;
}

/** How much longer B took, in words. */
export function longer(ms: number | null): string {
  if (ms === null || Math.abs(ms) < LEAST_MS) return "Both took the same time";
  return `B took ${duration(Math.abs(ms))} ${ms > 0 ? "longer" : "less"}`;
}

export const directionOf = (delta: number | null): Status => (delta === null || delta === 0 ? "same" : delta > 0 ? "slower" : "faster");

export function percent(share: number | null): string {
  if (share === null) return "";
  return `${share > 0 ? "+" : share < 0 ? "−" : "±"}${Math.abs(share).toLocaleString(undefined, { maximumFractionDigits: Math.abs(share) < 10 ? 1 : 0 })} %`;
}

/** What a row is called. */
export function titleOf({ kind, event_type: type, subject, name }: ComparedRow): string {
  if (kind === "waiting") return "nothing ran";
  const what = subject ?? name ?? "";
  if (type == null || type === "span") return what === "" ? "(unknown)" : what;
  return what === "" || what === type ? type : `${type} · ${what}`;
}

/** How long a side took: of a run its median. */
export function took(side: ComparedRow["a"]): number | null {
  return side === null ? null : (side.duration_ms ?? side.p50_ms ?? null);
}
