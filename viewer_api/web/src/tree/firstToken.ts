import type { Attributes } from "../reducer/event";

/** Where the time to the first token may stand, and how many milliseconds one of its unit is. */
const PLACES: readonly (readonly [string, number])[] = [
  ["flow.data.time_to_first_token_ms", 1],
  ["gen_ai.response.time_to_first_chunk", 1000],
  ["gen_ai.server.time_to_first_token", 1000],
];

/** How long the first token of a model's answer took, in milliseconds. */
export function firstTokenMs(attributes: Attributes | undefined): number | undefined {
  for (const [name, factor] of PLACES) {
    const value = attributes?.[name];
    if (typeof value === "number" && value >= 0) return value * factor;
  }
  return undefined;
}
