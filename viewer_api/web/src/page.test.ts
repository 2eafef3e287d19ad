import { describe, expect, it } from "vitest";
import { apiUrl } from "./api/http";
import { onlyThemselves, providerUrl, takeCode, takeFailure } from "./api/session";
import { count, countdown, duration, money, relativeTime, roundDuration, until, valueText } from "./format";
import { changed, formatRoute, parseRoute, to, type Route } from "./navigation/route";

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
    to("flows"),
    to("live", null, { user: ["7", "a&b=c,d #é"] }),
    to("flow", "0123", { span: "ab/c?d", find: "a b" }),
    to("flows", null, { outcome: ["denied", "error"], q: "too many requests" }),
  ])("%j can be bookmarked", (route) => expect(parseRoute(formatRoute(route))).toEqual(route));

  it("finds a flow by its trace id as Jaeger shortens it, and as other tools write it", () => {
    expect(parseRoute("#/flow/00000000000000aF").id).toBe("000000000000000000000000000000af");
    expect(parseRoute("#/flow/ABCDEF00000000000000000000000001?span=1f").id).toBe("abcdef00000000000000000000000001");
    expect(parseRoute("#/flow/abc").id).toBe("abc");
  });

  it("is the list of flows when it says nothing", () => {
    expect(parseRoute("")).toEqual(to("flows"));
    expect(parseRoute("#/")).toEqual(to("flows"));
  });

  it("keeps each value of a parameter once, and takes the empty ones away", () => {
    expect(parseRoute("#/live?user=7&user=7&user=&x=").query).toEqual({ user: ["7"], x: [] });
    expect(changed({ user: ["7"], q: ["a"] }, { user: null, q: "", sort: ["cost"] })).toEqual({ sort: ["cost"] });
  });

  it("still understands bookmarks of the page that had no filters", () => {
    expect(parseRoute("#/history?user=neo%40matrix.com")).toEqual(to("flows", null, { user_id: "neo@matrix.com" }));
    expect(parseRoute("#/history?user=7&flow=f")).toEqual(to("flow", "f"));
  });
});

describe("who may see only their own flows", () => {
  const session = (user_id: number | string | null, scope: readonly (number | string)[] | null) => ({
    name: "ada",
    role: "viewer",
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
});

describe("texts for people", () => {
  it.each([
    [-5, "0 µs"],
    [0.0914, "91 µs"],
    [1.42, "1.4 ms"],
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

  it.each([
    ["2026-01-01T00:10:00Z", "just now"],
    ["2026-01-01T00:09:30Z", "30 s ago"],
    ["2025-12-31T23:50:01Z", "19 min ago"],
    ["2025-12-31T00:10:00Z", "24 h ago"],
    ["2025-12-28T00:10:00Z", "4 days ago"],
    ["nonsense", "nonsense"],
  ])("%s was %s", (iso, text) => expect(relativeTime(iso, Date.parse("2026-01-01T00:10:00Z"))).toBe(text));

  it.each([
    [999, "999"],
    [1234, "1.2 k"],
    [45_600, "46 k"],
    [3_400_000, "3.4 M"],
  ])("%d is %s", (value, text) => expect(count(value)).toBe(text));

  it.each([
    [0, "0"],
    [0.00123, "0.0012"],
    [0.00002, "< 0.0001"],
    [0.0023, "0.0023"],
    [0.31, "0.31"],
    [1.5, "1.50"],
  ])("%d costs %s", (value, text) => expect(money(value)).toBe(text));

  it.each([
    [2000, "2 s"],
    [2500, "2.5 s"],
    [60_000, "1 min"],
    [90_000, "1 min 30 s"],
    [500, "500 ms"],
    [7_200_000, "2 h"],
  ])("%d ms is the round %s", (ms, text) => expect(roundDuration(ms)).toBe(text));

  it("values are shown as they are", () => {
    expect(valueText("<b>")).toBe("<b>");
    expect(valueText([1, null])).toBe("[1,null]");
    expect(valueText(["a long text, which would not fit beside", "another one"])).toBe('[\n "a long text, which would not fit beside",\n "another one"\n]');
    expect(valueText(undefined)).toBe("");
  });
});
