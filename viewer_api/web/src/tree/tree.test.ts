import { describe, expect, it } from "vitest";
import { FlowReducer } from "../reducer/reducer";
import type { Tree } from "../reducer/tree";
import { appearance, explanation, label, outcomeAppearance } from "./appearance";
import { bar, elapsedNs, ticksOf, timelineOf, zoomed } from "./timeline";
import { linesOfTrace } from "./stackTrace";
import { afterKey, foldedAll, revealed, rowsOf, unfoldedAll, UNFOCUSED, type Focus } from "./rows";
import { failures, stepCount, sumsOf } from "./sums";

const span = (id: string, parent: string | null, from: number, to: number | null, more: object = {}) => ({
  node_id: id, parent_id: parent, start_ns: String(from), phase: to === null ? "start" : "end",
  ...(to === null ? {} : { end_ns: String(to) }), ...more,
});
const treeOf = (...spans: object[]): Tree => new FlowReducer(spans).tree({ nowNs: 100n });
const node = (tree: Tree, id: string) => {
  const found = tree.nodes.get(id);
  if (found === undefined) throw new Error(`no node ${id}`);
  return found;
};

const family = treeOf(span("root", null, 0, 100), span("a", "root", 10, 50), span("a1", "a", 20, 30), span("b", "root", 60, null));

describe("rows", () => {
  const shown = (tree: Tree, focus: Partial<Focus> = {}) => rowsOf(tree.roots, { ...UNFOCUSED, ...focus });
  const rowsWithout = (collapsed: string[]) => shown(family, { collapsed: new Set(collapsed) }).map((row) => row.key);

  it("leave out what is folded", () => {
    expect(rowsWithout([])).toEqual(["root", "a", "a1", "b"]);
    expect(rowsWithout(["a"])).toEqual(["root", "a", "b"]);
    expect(rowsWithout(["root"])).toEqual(["root"]);
  });

  const call = (id: string, from: number, more: object = {}) => span(id, "root", from, from + 1, { name: "search", event_type: "tool_call", ...more });
  const many = treeOf(span("root", null, 0, 100), call("0", 1), call("1", 2), call("2", 3), call("3", 4, { status: "error" }), call("4", 5), span("x", "4", 5, 6));

  it("put a run of equal siblings behind one", () => {
    expect(shown(many).map(({ key, run }) => [key, run?.length])).toEqual([["root", undefined], ["run 0", 5]]);
    expect(shown(many, { opened: new Set(["run 0"]) }).map(({ key, depth, parent }) => [key, depth, parent])).toEqual([
      ["root", 0, -1], ["run 0", 1, 0], ["0", 2, 1], ["1", 2, 1], ["2", 2, 1], ["3", 2, 1], ["4", 2, 1], ["x", 3, 6],
    ]);
    const four = treeOf(span("root", null, 0, 100), call("0", 1), call("1", 2), call("2", 3), call("3", 4), call("4", 5, { name: "other" }));
    expect(shown(four)).toHaveLength(6);
  });

  it("show a span that was folded away when somebody goes there", () => {
    const focus = revealed({ ...UNFOCUSED, collapsed: new Set(["root", "4", "x"]) }, many, "x");
    expect([focus.at, [...focus.collapsed], [...focus.opened]]).toEqual(["x", ["x"], ["run 0"]]);
    expect(shown(many, focus).map((row) => row.key)).toContain("x");
  });

  it("fold and unfold all at once", () => {
    expect(shown(family, foldedAll(family, UNFOCUSED)).map((row) => row.key)).toEqual(["root", "a", "b"]);
    expect(shown(many, unfoldedAll(many, UNFOCUSED))).toHaveLength(8);
  });

  it("of ten thousand spans are made in one go", () => {
    const tree = treeOf(span("root", null, 0, 100), ...Array.from({ length: 9_999 }, (_, i) => span(`n${i}`, "root", i, i + 1, { name: `step ${i}` })));
    expect(shown(tree)).toHaveLength(10_000);
  });

  const press = (key: string, at: string, collapsed: string[] = []) => {
    const focus: Focus = { ...UNFOCUSED, at, collapsed: new Set(collapsed) };
    const rows = shown(family, focus);
    const next = afterKey(key, rows, Math.max(rows.findIndex((row) => row.key === at), 0), focus);
    return next === undefined ? undefined : [next.at, ...next.collapsed];
  };

  it.each([
    ["ArrowDown", "root", [], ["a"]],
    ["ArrowDown", "b", [], ["b"]],
    ["ArrowUp", "a", [], ["root"]],
    ["Home", "b", [], ["root"]],
    ["End", "root", [], ["b"]],
    ["PageDown", "root", [], ["b"]],
    ["ArrowRight", "a", ["a"], ["a"]],
    ["ArrowRight", "a", [], ["a1"]],
    ["ArrowRight", "a1", [], ["a1"]],
    ["ArrowLeft", "a", [], ["a", "a"]],
    ["ArrowLeft", "a1", [], ["a"]],
    ["ArrowLeft", "a", ["a"], ["root", "a"]],
    ["x", "a", [], undefined],
  ])("%s on %s with %j folded", (key, on, collapsed, expected) => {
    expect(press(key, on, collapsed)).toEqual(expected);
  });

  it("start at the first row when the focused node is gone", () => {
    expect(press("ArrowDown", "vanished")).toEqual(["a"]);
  });
});

describe("the timeline", () => {
  const timeline = timelineOf(family, 120n);

  it("reaches up to now while something is open", () => {
    expect(timeline).toEqual({ startNs: 0n, endNs: 120n });
    expect(elapsedNs(node(family, "b"), 120n)).toBe(60n);
    expect(elapsedNs(node(family, "a"), 120n)).toBe(40n);
  });

  it("places bars within it", () => {
    expect(bar([node(family, "b")], timeline, 120n)).toEqual({ left: 50, width: 50 });
    expect(bar([node(family, "root")], timeline, 120n)?.left).toBe(0);
  });

  it("has no elapsed time for what nobody knows", () => {
    const tree = new FlowReducer([span("a", "gone", 5, null, { process: "p" })]).tree({ nowNs: 50n, alive: new Set() });
    expect(elapsedNs(node(tree, "a"), 50n)).toBeUndefined();
    expect(elapsedNs(node(tree, "gone"), 50n)).toBeUndefined();
  });

  it("draws what lies in the part that is zoomed to", () => {
    const part = zoomed(timeline, timeline, 25, 50); // too narrow for a flow of 120 ns: nothing below a microsecond
    expect(part).toEqual({ startNs: 30n, endNs: 120n });
    const long = timelineOf(treeOf(span("root", null, 0, 1_000_000)), 0n);
    expect(zoomed(long, long, 75, 25)).toEqual({ startNs: 250_000n, endNs: 750_000n });
    expect(zoomed(long, long, -50, 150)).toEqual(long);
    expect(bar([node(family, "a1")], { startNs: 40n, endNs: 80n }, 120n)).toBeNull();
    expect(bar([node(family, "a")], { startNs: 40n, endNs: 80n }, 120n)).toEqual({ left: 0, width: 25 });
  });

  it("has round moments, counted from the flow's start", () => {
    const ms = (from: number, to: number) => ({ startNs: BigInt(from * 1e6), endNs: BigInt(to * 1e6) });
    const moments = (from: number, to: number, most: number) => ticksOf(ms(from, to), 0n, most).map((tick) => [tick.ms, tick.at]);
    expect(moments(0, 100, 5)).toEqual([[0, 0], [20, 20], [40, 40], [60, 60], [80, 80], [100, 100]]);
    expect(moments(30, 70, 4)).toEqual([[30, 0], [40, 25], [50, 50], [60, 75], [70, 100]]);
    expect(moments(0, 100_000, 4).map(([at]) => at)).toEqual([0, 30_000, 60_000, 90_000]);
    expect(moments(0, 0, 4)).toEqual([]);
    expect(moments(0, 10, 0)).toEqual([]);
  });

  it("of nothing is a moment", () => {
    expect(timelineOf(treeOf(), 9n)).toEqual({ startNs: 9n, endNs: 9n });
  });
});

describe("a node", () => {
  it("looks like its outcome once it has ended", () => {
    const look = (more: object) => appearance(node(treeOf(span("x", null, 0, 1, more)), "x")).look;
    expect(look({})).toBe("ok");
    expect(look({ status: "error" })).toBe("error");
    expect(look({ outcome: "denied" })).toBe("denied");
    expect(look({ outcome: "cancelled" })).toBe("cancelled");
    expect(look({ outcome: "of another kind" })).toBe("ok");
  });

  it("looks like its state while it is open, and a placeholder like one", () => {
    const tree = treeOf(span("x", "gone", 0, null));
    expect(appearance(node(tree, "x")).look).toBe("running");
    expect(appearance(node(tree, "gone")).look).toBe("unknown");
    expect(label(node(tree, "gone"))).toBe("(its parent has not arrived)");
  });

  it("is called by its step and what it works on", () => {
    const called = (more: object) => label(node(treeOf(span("x", null, 0, 1, more)), "x"));
    expect(called({ event_type: "tool_call", name: "tools/call a", attributes: { "flow.data.tool": "a" } })).toBe("tool_call · a");
    expect(called({ event_type: "auth_check", name: "auth_check" })).toBe("auth_check");
    expect(called({ event_type: "span", name: "GET /x" })).toBe("GET /x");
    expect(called({})).toBe("(start not seen)");
  });

  it("says why it was refused or failed", () => {
    const why = (more: object) => explanation(node(treeOf(span("x", null, 0, 1, more)), "x"));
    expect(why({ attributes: { "flow.denied.reason": "limit" }, status_message: "m" })).toBe("limit");
    expect(why({ status_message: "m" })).toBe("m");
    expect(why({})).toBeNull();
  });
});

describe("what went wrong", () => {
  const tree = treeOf(
    span("root", null, 0, 100, { status: "error" }), span("a", "root", 1, 50, { status: "error", event_type: "tool_call" }),
    span("a1", "a", 2, 40, { status: "error" }), span("b", "root", 51, 60, { outcome: "denied", event_type: "block_check" }),
  );

  it("is counted for everything that may be folded away", () => {
    const sums = sumsOf(tree);
    expect(sums.get(node(tree, "root"))).toEqual({ spans: 4, errors: 3, denials: 1 });
    expect(sums.get(node(tree, "a1"))).toEqual({ spans: 1, errors: 1, denials: 0 });
  });

  it("is gone to where it began", () => expect(failures(tree)).toEqual(["a1", "b"]));
});

it("steps are counted as in the list of flows: a call once, however many spans tell of it", () => {
  const steps = (...spans: object[]) => stepCount(treeOf(span("root", null, 0, 100), ...spans));
  const call = { event_type: "tool_call", attributes: { "gen_ai.tool.name": "search" } };
  expect(steps(span("a", "root", 1, 9, call), span("b", "a", 2, 8, call), span("c", "root", 10, 11))).toBe(1);
  const reported = { event_type: "tool_call", attributes: { "flow.reported": true, "flow.checkpoint.type": "tool_call" } };
  expect(steps(span("a", "root", 1, 1, reported), span("b", "root", 2, 8, call))).toBe(1);
});

it.each([
  ["Traceback:\n  File \"a.py\", line 1\n    f()\nValueError: no", ["code", "frame", "code", "failure"]],
  ["Traceback:\\n  File \"a.py\", line 1\\n\\tf()\\nValueError: no", ["code", "frame", "code", "failure"]],
  ["Error: no\n    at f (a.js:1:2)", ["failure", "frame"]],
  ["one\r\ntwo\r\n", ["failure", "failure"]],
])("a stack trace has lines, also when their ends were escaped: %j", (text, kinds) => {
  const lines = linesOfTrace(text);
  expect(lines.map(({ kind }) => kind)).toEqual(kinds.map((kind, i) => (i === 0 && text.startsWith("Traceback") ? "code" : kind)));
  expect(lines.every((line) => !/[\r\n]|\\n|\\t/.test(line.text))).toBe(true);
});

it("a flow looks like its outcome", () => {
  expect(outcomeAppearance("denied", false).look).toBe("denied");
  expect(outcomeAppearance(null, true).look).toBe("running");
  expect(outcomeAppearance(null, false).words).toBe("unknown");
});

it("a span whose clock was wrong is drawn within its flow", () => {
  const tree = treeOf(
    span("root", null, 1000, 1080, { process: "a" }), span("call", "root", 1005, 1060, { process: "a" }),
    span("callee", "call", 10, 30, { process: "b" }), span("long ago", "root", 0, 1020, { process: "a" }),
    span("later", "root", 1090, 1100, { process: "a" }),
  );
  const drawn = (id: string) => [node(tree, id).startNs, node(tree, id).endNs, node(tree, id).outsideFlow];
  expect(drawn("callee")).toEqual([1005n, 1025n, true]);
  expect(drawn("long ago")).toEqual([1000n, 1020n, true]);
  expect(drawn("later")).toEqual([1090n, 1100n, false]);
  expect(timelineOf(tree, 2000n)).toEqual({ startNs: 1000n, endNs: 1100n });
});
