/** Control characters, lone surrogates, braces (they would move a Redis Cluster key), the path separator. */
const REFUSED = /[\u0000-\u001f\u007f-\u009f\ud800-\udfff{}/]/u;
const MAX_LENGTH = 128;

/** Whether `value` may serve as an id of a node, user, session or conversation. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && (value.length <= MAX_LENGTH || [...value].length <= MAX_LENGTH) && !REFUSED.test(value);
}
