import { describe, expect, it } from "vitest";
import { FlowReducer } from "../reducer/reducer";
import type { Tree } from "../reducer/tree";
import { appearance, explanation, label, outcomeAppearance } from "./appearance";
import { bar, elapsedNs, timelineOf } from "./timeline";
import { afterKey, visibleRows, type Focus } from "./visibleRows";

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
  const rowsOf = (collapsed: string[]) => visibleRows(family, new Set(collapsed)).map((row) => row.nodeId);

  it("leave out what is folded", () => {
    expect(rowsOf([])).toEqual(["root", "a", "a1", "b"]);
    expect(rowsOf(["a"])).toEqual(["root", "a", "b"]);
    expect(rowsOf(["root"])).toEqual(["root"]);
  });

  const press = (key: string, nodeId: string, collapsed: string[] = []) => {
    const focus: Focus = { nodeId, collapsed: new Set(collapsed) };
    const next = afterKey(key, visibleRows(family, focus.collapsed), focus);
    return next === undefined ? undefined : [next.nodeId, ...next.collapsed];
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
    expect(bar(node(family, "b"), timeline, 120n)).toEqual({ left: 50, width: 50 });
    expect(bar(node(family, "root"), timeline, 120n).left).toBe(0);
  });

  it("has no elapsed time for what nobody knows", () => {
    const tree = new FlowReducer([span("a", "gone", 5, null, { process: "p" })]).tree({ nowNs: 50n, alive: new Set() });
    expect(elapsedNs(node(tree, "a"), 50n)).toBeUndefined();
    expect(elapsedNs(node(tree, "gone"), 50n)).toBeUndefined();
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
    expect(label(node(tree, "gone"))).toBe("(its parent has not come)");
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
