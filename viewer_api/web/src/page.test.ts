import { describe, expect, it } from "vitest";
import { apiUrl } from "./api/http";
import { takeCode } from "./api/session";
import { duration, until, valueText } from "./format";
import { formatRoute, parseRoute, type Route } from "./route";

describe("the one-time code", () => {
  const replaced: unknown[] = [];
  const history = { replaceState: (_state: unknown, _title: string, url?: string | URL | null) => void replaced.push(url) };

  it("is taken out of the address at once", () => {
    expect(takeCode({ hash: "#code=c.17.x%2By", pathname: "/sub/", search: "?q=1" }, history)).toBe("c.17.x+y");
    expect(replaced).toEqual(["/sub/?q=1"]);
  });

  it("is not looked for in a view's address", () => {
    expect(takeCode({ hash: "#/live?user=7", pathname: "/", search: "" }, history)).toBeNull();
    expect(takeCode({ hash: "", pathname: "/", search: "" }, history)).toBeNull();
    expect(replaced).toHaveLength(1);
  });
});

it("the API lies beside the page, under any sub-path", () => {
  expect(apiUrl("flows/x", "https://host/tools/spanflow/#/live").href).toBe("https://host/tools/spanflow/api/v1/flows/x");
});

describe("the view in the address", () => {
  it.each<Route>([
    { view: "live", users: [] },
    { view: "live", users: ["7", "a&b=c,d #é"] },
    { view: "history", user: null, flow: null },
    { view: "history", user: "neo@matrix.com", flow: "f" },
  ])("%j can be bookmarked", (route) => expect(parseRoute(formatRoute(route))).toEqual(route));

  it("is the live one when it says nothing or nonsense", () => {
    expect(parseRoute("")).toEqual({ view: "live", users: [] });
    expect(parseRoute("#/what?user=7&user=7")).toEqual({ view: "live", users: ["7"] });
  });
});

describe("texts for people", () => {
  it.each([
    [-5, "0.0 ms"],
    [0.42, "0.4 ms"],
    [150.4, "150 ms"],
    [999.6, "1.00 s"],
    [2350, "2.35 s"],
    [59_996, "1 min 00 s"],
    [185_000, "3 min 05 s"],
    [7_440_000, "2 h 04 min"],
  ])("%d ms is %s", (ms, text) => expect(duration(ms)).toBe(text));

  it.each([
    ["2026-01-01T00:00:00Z", "now"],
    ["2026-01-01T00:10:30Z", "1 min"],
    ["2026-01-01T12:00:00Z", "12 h"],
    ["2026-01-04T00:00:00Z", "3 days"],
    ["nonsense", "now"],
  ])("until %s", (iso, text) => expect(until(iso, Date.parse("2026-01-01T00:10:00Z"))).toBe(text));

  it("values are shown as they are", () => {
    expect(valueText("<b>")).toBe("<b>");
    expect(valueText([1, null])).toBe("[\n 1,\n null\n]");
    expect(valueText(undefined)).toBe("");
  });
});
