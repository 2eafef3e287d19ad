import type { SpanEvent } from "./event";

/** An outcome, and which kind of denial or error it is. */
export interface Answer {
  readonly outcome: string | null;
  readonly reason: string | null;
}

const NO_ANSWER: Answer = { outcome: null, reason: null };
const DENIED: ReadonlyMap<number, Answer> = new Map([
  [401, { outcome: "denied", reason: "unauthenticated" }],
  [403, { outcome: "denied", reason: "forbidden" }],
  [429, { outcome: "denied", reason: "rate_limited" }],
]);
const CALLER_ERROR: Answer = { outcome: "error", reason: "caller_error" };
const SERVER_ERROR: Answer = { outcome: "error", reason: "server_error" };
/** What gateways answer when a model or tool took too long. A caller that is too slow rarely gets as far as a span. */
const REQUEST_TIMEOUT = 408;
/** The newest HTTP conventions, and the older ones that most instrumentations still follow. */
const STATUS_CODES = ["http.response.status_code", "http.status_code"];

/** What an ended server span's answer says; nothing of other spans, and of answers that are no refusal. */
export function answerOf(entry: SpanEvent): Answer {
  if (entry.kind !== "server" || entry.phase !== "end") return NO_ANSWER;
  const code = STATUS_CODES.map((name) => entry.attributes?.[name]).find((value) => Number.isInteger(value));
  if (typeof code !== "number" || code < 400 || code > 599) return NO_ANSWER;
  return code >= 500 || code === REQUEST_TIMEOUT ? SERVER_ERROR : (DENIED.get(code) ?? CALLER_ERROR);
}

/** The outcome of a span as it is shown: its own, unless that is `ok` or missing and its answer says otherwise. */
export function outcomeOf(entry: SpanEvent): Answer {
  const own = entry.outcome ?? null;
  const answer = answerOf(entry);
  if (own === null || own === "ok") return answer.outcome === null ? { outcome: own, reason: null } : answer;
  return { outcome: own, reason: own === "denied" || own === "error" ? answer.reason : null };
}
