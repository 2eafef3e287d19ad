import { describe, expect, it } from "vitest";
import { againstTheRest } from "./groups";
import { askedOf, listOf } from "./questions";
import { longer, percent, signed } from "./signs";

const NOW = Date.parse("2026-03-02T12:00:00Z");

describe("what a list shows is compared", () => {
  it.each([
    [{ outcome: ["denied"] }, { "a.outcome": ["denied"], "b.outcome": ["ok"] }],
    [{ outcome: ["ok"], tool: ["x"] }, { "a.outcome": ["ok"], "a.tool": ["x"] }],
    [{ min_duration_ms: ["500"] }, { "a.min_duration_ms": ["500"], "b.max_duration_ms": ["500"] }],
    [{ user_id: ["7"], range: ["24h"], sort: ["cost"], q: ["a b"] }, { "a.user_id": ["7"], range: ["24h"], "a.q": ["a b"] }],
  ])("%j as %j", (list, query) => expect(againstTheRest(list).query).toEqual(query));
});

it("the viewer is asked for both groups in the same time", () => {
  const asked = askedOf({ "a.outcome": ["denied"], "b.outcome": ["ok"], tool: ["x"], range: ["1h"], row: ["3"] }, NOW);
  expect(asked).toEqual({ "a.outcome": ["denied"], "b.outcome": ["ok"], tool: ["x"], since: ["2026-03-02T11:00:00.000Z"], stepless: ["hide"] });
});

it("a difference leads to the flows of one group that have it", () => {
  const query = { "a.outcome": ["denied"], "b.outcome": ["ok"], tool: ["x"], range: ["1h"] };
  expect(listOf(query, "b", { min_tokens: 500 }).query).toEqual({ outcome: ["ok"], tool: ["x"], range: ["1h"], min_tokens: ["500"] });
});

describe("differences in words", () => {
  it.each([
    [230, "+230 ms"],
    [-1400, "−1.40 s"],
    [0, "±0"],
    [null, "–"],
  ])("%d ms is %s", (ms, text) => expect(signed(ms)).toBe(text));

  it.each([
    [6.54, "+6.5 %"],
    [-50, "−50 %"],
    [null, ""],
  ])("%d percent is %s", (share, text) => expect(percent(share)).toBe(text));

  it.each([
    [300, "B took 300 ms longer"],
    [-300, "B took 300 ms less"],
    [0, "Both took the same time"],
  ])("%d ms: %s", (ms, text) => expect(longer(ms)).toBe(text));
});
