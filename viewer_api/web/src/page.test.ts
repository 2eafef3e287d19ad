import { describe, expect, it } from "vitest";
import { apiUrl } from "./api/http";
import { onlyThemselves, providerUrl, takeCode, takeFailure } from "./api/session";
import { countdown, duration, until, valueText } from "./format";
import { formatRoute, parseRoute, routeFor, type Route } from "./route";

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

it("a sign-in that failed elsewhere is told once", () => {
  const replaced: unknown[] = [];
  const history = { replaceState: (_state: unknown, _title: string, url?: string | URL | null) => void replaced.push(url) };
  expect(takeFailure({ hash: "#sign_in=failed", pathname: "/sub/", search: "" }, history)).toBe(true);
  expect(takeFailure({ hash: "#/live", pathname: "/sub/", search: "" }, history)).toBe(false);
  expect(replaced).toEqual(["/sub/"]);
});

it("the identity provider sends people back to the view they wanted", () => {
  expect(providerUrl("#/history?user=7", "https://host/sub/")).toBe(
    "https://host/sub/api/v1/session/oidc/start?page=%2F%23%2Fhistory%3Fuser%3D7",
  );
  expect(providerUrl("#code=x", "https://host/")).toBe("https://host/api/v1/session/oidc/start");
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

describe("who may see only their own flows", () => {
  const session = (user_id: number | string | null, scope: readonly (number | string)[] | null) => ({
    name: "ada",
    rights: [],
    user_id,
    scope,
  });

  it.each([
    [session(7, [7]), "7"],
    [session("a", ["a"]), "a"],
    [session(7, [7, 8]), null],
    [session(7, [8]), null],
    [session(7, null), null],
    [session(null, []), null],
  ])("%j: %s", (who, own) => expect(onlyThemselves(who)).toBe(own));

  it.each<[string, Route]>([
    ["", { view: "history", user: "7", flow: null }],
    ["#/", { view: "history", user: "7", flow: null }],
    ["#/live", { view: "live", users: ["7"] }],
    ["#/live?user=8", { view: "live", users: ["7"] }],
    ["#/history?user=8&flow=f", { view: "history", user: "7", flow: "f" }],
  ])("%s leads to themselves", (hash, route) => expect(routeFor(hash, "7")).toEqual(route));

  it("everybody else goes where the address says", () => {
    expect(routeFor("#/live?user=8", null)).toEqual({ view: "live", users: ["8"] });
    expect(routeFor("", null)).toEqual({ view: "live", users: [] });
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
    ["2026-01-01T00:10:00Z", "now"],
    ["2026-01-01T00:10:08Z", "8 s"],
    ["2026-01-01T00:11:00Z", "1 min 00 s"],
    ["2026-01-01T01:09:59Z", "59 min 59 s"],
    ["2026-01-01T01:10:00Z", "1 h 00 min"],
    ["2026-01-02T02:15:00Z", "26 h 05 min"],
    ["2026-01-04T00:10:00Z", "3 days"],
    ["nonsense", "now"],
  ])("the countdown to %s", (iso, text) => expect(countdown(iso, Date.parse("2026-01-01T00:10:00Z"))).toBe(text));

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
