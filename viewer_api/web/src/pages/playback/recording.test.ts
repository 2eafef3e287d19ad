import { describe, expect, it } from "vitest";
import type { TimedMessage } from "../../api/playback";
import { FlowModel } from "../../live/liveFlows";
import { rowOf, walk, type Tree } from "../../reducer/tree";
import { Recording } from "./recording";

const STARTED = 1_000_000_000n;
const ns = (ms: number) => String(STARTED + BigInt(ms) * 1_000_000n);
const start = (node: string, ms: number, more: object = {}) => ({ v: 1, phase: "start", flow_id: "f", node_id: node, parent_id: null, start_ns: ns(ms), process: "p", ...more });
const end = (node: string, from: number, to: number, more: object = {}) => ({ ...start(node, from, more), phase: "end", end_ns: ns(to), outcome: "ok", ...more });
const events = (at_ms: number, ...those: unknown[]): TimedMessage => ({ at_ms, message: { type: "events", events: those, cursor: "" } });
const flow = (at_ms: number, open: boolean): TimedMessage => ({ at_ms, message: { type: "flow", flow_id: "f", open } });

const CHILD = { parent_id: "a" };
const MESSAGES = [
  flow(0, true),
  events(0, start("a", 0)),
  events(10, start("b", 10, CHILD)),
  events(20, end("b", 10, 20, { ...CHILD, outcome: "error" })),
  events(5000, start("c", 5000, CHILD)),
  events(5100, end("c", 5000, 5100, CHILD), end("a", 0, 5100)),
  flow(5100, false),
];
const recording = () => new Recording(STARTED, 5100, MESSAGES);
const told = (tree: Tree) => [...walk(tree)].map(rowOf);
const shown = (played: Recording, ms: number) => [...walk(played.at(ms).flow("f").tree(STARTED + BigInt(ms) * 1_000_000n))].map(({ nodeId, state }) => `${nodeId} ${state}`);

describe("a recording", () => {
  it("shows what had happened by a moment, forwards and backwards", () => {
    const played = recording();
    expect(shown(played, 5)).toEqual(["a running"]);
    expect(shown(played, 15)).toEqual(["a running", "b running"]);
    expect(shown(played, 5050)).toEqual(["a running", "b ended", "c running"]);
    expect(shown(played, 12)).toEqual(["a running", "b running"]);
    expect(shown(played, 5100)).toEqual(["a ended", "b ended", "c ended"]);
  });

  it("ends with the tree that the archive has, wherever it was before", () => {
    const archived = new FlowModel("f");
    archived.addAll([end("a", 0, 5100), end("b", 10, 20, { ...CHILD, outcome: "error" }), end("c", 5000, 5100, CHILD)]);
    archived.open = false;
    for (const detour of [[], [5100, 3], [15, 5050, 0], [20, 19, 21, 4000]]) {
      const played = recording();
      for (const ms of detour) played.at(ms);
      const last = played.at(5100).flow("f");
      expect(last.open).toBe(false);
      expect(told(last.tree(0n))).toEqual(told(archived.tree(0n)));
    }
  });

  it("goes step by step", () => {
    const played = recording();
    expect([played.after(0), played.after(10), played.after(5100)]).toEqual([10, 20, 5100]);
    expect([played.before(5100), played.before(10), played.before(0)]).toEqual([5000, 0, 0]);
    expect(played.nextFailure(0)).toBe(20);
    expect(played.nextFailure(20)).toBeUndefined();
  });

  it("leaps over times in which nothing happens only when it is told to", () => {
    const played = recording();
    expect(played.advanced(1000, 100, false)).toBe(1100);
    expect(played.advanced(1000, 100, true)).toBe(4750);
    // What happens soon is waited for.
    expect(played.advanced(11, 3, true)).toBe(14);
    expect(played.advanced(100, 100, true)).toBe(200);
    expect(played.advanced(5050, 1000, true)).toBe(5100);
  });
});
