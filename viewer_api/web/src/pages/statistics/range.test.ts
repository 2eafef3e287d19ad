import { describe, expect, it } from "vitest";
import { formatRoute } from "../../navigation/route";
import { asked, flowsAt } from "../flows/filters";
import { axisDuration } from "./lines";
import { filled, filtersOf, narrowedTo, rangeOf } from "./range";

const NOW = Date.parse("2026-03-02T12:00:30Z");
const iso = (ms: number) => new Date(ms).toISOString();

describe("the range of the statistics", () => {
  it.each([
    [{}, "2026-03-01T12:01:00.000Z", "hour"],
    [{ range: ["1h"] }, "2026-03-02T11:01:00.000Z", "minute"],
    [{ range: ["7d"] }, "2026-02-23T12:01:00.000Z", "day"],
    [{ range: ["30d"] }, "2026-01-31T12:01:00.000Z", "day"],
    [{ range: ["no such range"] }, "2026-03-01T12:01:00.000Z", "hour"],
    [{ since: ["2026-03-02T10:00:00Z"] }, "2026-03-02T10:00:00.000Z", "minute"],
  ])("%j begins at %s, with a point for every %s", (query, since, interval) => {
    const range = rangeOf(query, NOW);
    expect([iso(range.sinceMs), range.interval]).toEqual([since, interval]);
    expect(iso(range.untilMs)).toBe("2026-03-02T12:01:00.000Z");
  });

  it("has no minutes where the viewer keeps none any more", () => {
    const range = rangeOf({ since: ["2026-02-01T10:00:00Z"], until: ["2026-02-01T11:00:00Z"] }, NOW);
    expect(range.interval).toBe("hour");
  });

  it("goes to the viewer with the filters of flows only", () => {
    const query = { range: ["1h"], group: ["tool"], by: ["cost"], user_id: ["7"], started_since: ["2026-01-01"] };
    expect(filtersOf(query, rangeOf(query, NOW))).toEqual({ user_id: ["7"], since: ["2026-03-02T11:01:00.000Z"], until: ["2026-03-02T12:01:00.000Z"] });
  });

  it("is narrowed to whole minutes, and never to nothing", () => {
    expect(narrowedTo(NOW, NOW)).toEqual({ range: null, since: "2026-03-02T12:00:00.000Z", until: "2026-03-02T12:01:00.000Z" });
  });
});

it("a series has a place for the intervals in which nothing happened", () => {
  const slots = filled([{ start: "2026-03-02T11:00:00Z" }], "2026-03-02T10:00:00Z", "2026-03-02T12:30:00Z", "hour");
  expect(slots.map(({ startMs, point }) => [iso(startMs), point?.start])).toEqual([
    ["2026-03-02T10:00:00.000Z", undefined],
    ["2026-03-02T11:00:00.000Z", "2026-03-02T11:00:00Z"],
    ["2026-03-02T12:00:00.000Z", undefined],
  ]);
});

describe("a number of flows", () => {
  const link = "/api/v1/flows?user_id=7&outcome=denied&stopped_at=block_check&started_since=2026-03-01T00%3A00%3A00Z&started_until=2026-03-02T00%3A00%3A00Z";

  it("leads to a list that asks the viewer for exactly these flows", () => {
    expect(asked(flowsAt(link).query, NOW)).toEqual({
      user_id: ["7"],
      outcome: ["denied"],
      stopped_at: ["block_check"],
      started_since: ["2026-03-01T00:00:00Z"],
      started_until: ["2026-03-02T00:00:00Z"],
    });
  });

  it("leads to a view that can be bookmarked", () => {
    expect(formatRoute(flowsAt("/api/v1/flows?tool=a%26b&stepless=hide"))).toBe("#/flows?tool=a%26b&range=all");
  });
});

it.each([
  [0, "0"],
  [10_000, "10 s"],
  [2_500, "2.5 s"],
  [2_050, "2.05 s"],
  [5, "5 ms"],
  [200, "200 ms"],
])("%d ms on an axis is %s", (ms, text) => expect(axisDuration(ms)).toBe(text));
