import { beforeEach, describe, expect, it } from "vitest";
import { walk } from "../reducer/tree";
import type { Socket } from "./connection";
import { LiveStore } from "./liveStore";
import { flowTopic, userTopic } from "./topic";

const HELLO = { type: "hello", v: 1, name: "op", heartbeat_seconds: 15, server_time_ms: 5000, redis: "up" };
const start = (flow: string, node: string, at: number, more: object = {}) => ({
  v: 1, phase: "start", flow_id: flow, node_id: node, parent_id: null, start_ns: String(at), process: "p", ...more,
});
const end = (flow: string, node: string, at: number) => ({ v: 1, phase: "end", flow_id: flow, node_id: node, end_ns: String(at) });

let soon: (() => void)[];
let drawn: number;
let store: LiveStore;
let socket: Socket;
const says = (message: unknown) => socket.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
const draw = () => {
  for (const callback of soon.splice(0)) callback();
};

beforeEach(() => {
  soon = [];
  drawn = 0;
  store = new LiveStore({
    open: () => (socket = { onmessage: null, onclose: null, send: () => {}, close: () => {} }),
    later: () => () => {},
    random: () => 1,
    now: () => 1000,
    soon: (callback) => void soon.push(callback),
    elapsedMs: () => 0,
    drawn: (callback) => callback(),
  });
  store.subscribeTo(userTopic("7"), () => drawn++);
  store.follow(userTopic("7"));
  says(HELLO);
  drawn = 0;
});

const states = (flowId: string, now = 100n) =>
  Object.fromEntries([...walk(store.flowsOf(userTopic("7")).flow(flowId).tree(now))].map((node) => [node.nodeId, node.state]));

describe("the live store", () => {
  it("draws once for many events", () => {
    says({ type: "events", user_id: 7, events: [start("f", "a", 1)], cursor: "1" });
    says({ type: "events", user_id: 7, events: [start("f", "b", 2), end("f", "b", 3)], cursor: "2" });
    expect(drawn).toBe(0);
    draw();
    expect(drawn).toBe(1);
    expect(states("f")).toEqual({ a: "running", b: "ended" });
  });

  it("tells the time by the viewer's clock", () => {
    expect(store.nowMs()).toBe(5000);
  });

  it("merges a snapshot with what is there, in any order", () => {
    says({ type: "events", user_id: 7, events: [end("f", "a", 9)], cursor: "1" });
    says({ type: "snapshot", user_id: 7, flow_id: "f", events: [start("f", "a", 1)], truncated: true, cursor: "2" });
    expect(states("f")).toEqual({ a: "ended" });
    expect(store.flowsOf(userTopic("7")).flow("f").truncated).toBe(true);
  });

  it("shows what a dead process had open as lost, until it is back", () => {
    says({ type: "events", user_id: 7, events: [start("f", "a", 1), start("f", "b", 2, { process: "q" })], cursor: "1" });
    says({ type: "process", user_id: 7, flow_id: "f", process: "p", alive: false });
    expect(states("f")).toEqual({ a: "lost", b: "running" });
    says({ type: "process", user_id: 7, flow_id: "f", process: "p", alive: true });
    expect(states("f")).toEqual({ a: "running", b: "running" });
  });

  it("shows what takes longer than usual as slow", () => {
    says({ type: "events", user_id: 7, events: [start("f", "a", 1, { event_type: "tool_call", name: "list" })], cursor: "1" });
    expect(states("f")).toEqual({ a: "running" });
    says({ type: "usual", user_id: 7, p95_ns: { "tool_call:list": 50 } });
    expect(states("f")).toEqual({ a: "slow" });
    expect(states("f", 40n)).toEqual({ a: "running" });
  });

  it("shows what a complete flow left open as lost", () => {
    says({ type: "events", user_id: 7, events: [start("f", "a", 1)], cursor: "1" });
    says({ type: "flow", user_id: 7, flow_id: "f", open: false });
    expect(states("f")).toEqual({ a: "lost" });
  });

  it("keeps the newest flows and forgets complete old ones", () => {
    for (let i = 0; i < 40; i++) {
      says({ type: "events", user_id: 7, events: [start(`f${i}`, "a", i + 1)], cursor: `${i}` });
      if (i !== 0) says({ type: "flow", user_id: 7, flow_id: `f${i}`, open: false });
    }
    const kept = store.flowsOf(userTopic("7")).newestFirst().map((flow) => flow.flowId);
    expect(kept).toHaveLength(20);
    expect(kept[0]).toBe("f39");
    expect(kept.at(-1)).toBe("f0");
  });

  it("counts events it cannot read, and shows the others", () => {
    says({ type: "events", user_id: 7, events: [{ flow_id: "f", phase: "x" }, 7, start("f", "a", 1)], cursor: "1" });
    expect(store.flowsOf(userTopic("7")).flow("f").damaged).toBe(1);
    expect(states("f")).toEqual({ a: "running" });
  });

  it("says why the server stopped, and asks who is watched", () => {
    let asked = 0;
    store.onWatchChange(() => asked++);
    says({ type: "unsubscribed", user_id: 7, reason: "expired" });
    expect(store.flowsOf(userTopic("7")).ended).toBe("expired");
    says({ type: "watch", user_id: 7, watched: true, expires_at: null });
    says({ type: "subscribed", user_id: 7, watched: true, expires_at: null });
    expect(store.flowsOf(userTopic("7")).ended).toBeUndefined();
    expect(asked).toBe(2);
  });

  it("lets go of flows that were shown without contents when everything comes again", () => {
    const bare = start("f", "a", 1);
    says({ type: "events", user_id: 7, events: [bare], cursor: "1" });
    says({ type: "resync", user_id: 7, reason: "slow_client" });
    expect(store.flowsOf(userTopic("7")).flows.size).toBe(1);
    says({ type: "resync", user_id: 7, reason: "contents_shown" });
    expect(store.flowsOf(userTopic("7")).flows.size).toBe(0);
    says({ type: "events", user_id: 7, events: [{ ...bare, attributes: { "flow.data.note": "hello" } }], cursor: "2" });
    const [node] = store.flowsOf(userTopic("7")).flow("f").tree(0n).nodes.values();
    expect(node?.entry?.attributes).toEqual({ "flow.data.note": "hello" });
  });

  it("follows a user as long as one of several parts of the page wants it", () => {
    const second = store.follow(userTopic("8"));
    const third = store.follow(userTopic("8"));
    says({ type: "events", user_id: 8, events: [start("f", "a", 1)], cursor: "1" });
    second();
    expect(store.flowsOf(userTopic("8")).flows.size).toBe(1);
    third();
    expect(store.flowsOf(userTopic("8")).flows.size).toBe(0);
  });

  it("keeps one flow that is followed by itself apart from its user's flows", () => {
    const flow = flowTopic("f", "ticket");
    store.follow(flow);
    says({ type: "events", flow_id: "f", events: [start("f", "a", 1)], cursor: "1" });
    says({ type: "events", user_id: 7, events: [start("f", "b", 2)], cursor: "1" });
    says({ type: "flow", flow_id: "f", open: false });
    expect([...store.flowsOf(flow).flow("f").tree(9n).nodes.keys()]).toEqual(["a"]);
    expect(store.flowsOf(flow).flow("f").open).toBe(false);
    expect(store.flowsOf(userTopic("7")).flow("f").open).toBe(true);
    says({ type: "error", code: "reason_too_short", detail: "longer", flow_id: "f" });
    expect(store.flowsOf(flow).ended).toBe("reason_too_short");
    expect(store.flowsOf(userTopic("7")).ended).toBeUndefined();
    says({ type: "unsubscribed", flow_id: "g", reason: "complete" });
    says({ type: "unsubscribed", flow_id: "f", reason: "complete" });
    expect(store.flowsOf(flow).ended).toBe("complete");
  });
});
