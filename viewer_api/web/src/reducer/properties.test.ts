import { describe, expect, it } from "vitest";
import { canonical } from "./canonical";
import { checked, EventError } from "./event";
import { isId } from "./ids";
import { FlowReducer } from "./reducer";
import { compareText } from "./text";
import { rowOf, walk } from "./tree";

describe("texts", () => {
  it("stand in code point order, as UTF-8 bytes do", () => {
    expect(["😀", "\uffff", "é", "a", "ab", ""].sort(compareText)).toEqual(["", "a", "ab", "é", "\uffff", "😀"]);
  });

  it("have one canonical form per value", () => {
    expect(canonical({ b: 1e21, a: [true, null, -0, 1e-7], "\uffff": {}, "😀": [] })).toBe(
      '{"a":[true,null,0,1e-7],"b":1e+21,"\uffff":{},"😀":[]}',
    );
  });
});

describe("events", () => {
  it.each([null, 7, [], {}, { phase: "start" }, { phase: "x", node_id: "a" }, { phase: "end", node_id: "a/b" }])(
    "%j is none",
    (value) => expect(() => checked(value)).toThrow(EventError),
  );

  it("may carry keys that objects have by nature", () => {
    const event = JSON.parse('{"phase":"end","node_id":"constructor","parent_id":"__proto__","attributes":{"__proto__":1}}');
    const reducer = new FlowReducer([{ phase: "start", node_id: "constructor", attributes: { toString: 1 } }, event]);
    expect(Object.entries(reducer.entries()[0]?.attributes ?? {})).toEqual([["toString", 1], ["__proto__", 1]]);
    expect([...walk(reducer.tree())].map((node) => node.nodeId)).toEqual(["__proto__", "constructor"]);
  });

  it("have ids of at most 128 characters", () => {
    expect(isId("😀".repeat(128))).toBe(true);
    expect(isId("x".repeat(129))).toBe(false);
  });
});

/** A small random source with a seed, so that a failure can be repeated. */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

function randomEvents(random: () => number): Record<string, unknown>[] {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  return Array.from({ length: Math.floor(random() * 9) }, () => {
    const event: Record<string, unknown> = { phase: pick(["start", "update", "end"]), node_id: pick(["a", "b", "c"]) };
    if (random() < 0.6) event["parent_id"] = pick([null, "a", "b", "c", "gone"]);
    for (const time of ["start_ns", "end_ns", "updated_ns"]) if (random() < 0.5) event[time] = String(Math.floor(random() * 3));
    if (random() < 0.6) event["attributes"] = { [pick(["x", "y"])]: pick([1, 2, true, null, "é"]) };
    if (random() < 0.3) event["name"] = pick(["GET", "GET /x"]);
    if (random() < 0.4) event["logs"] = [{ name: "r", time_ns: String(Math.floor(random() * 3)), ...pick([{ record: true }, {}]) }];
    if (random() < 0.2) return { phase: "update", node_id: event["node_id"], logs: [{ name: "r", time_ns: "1", record: true }] };
    return event;
  });
}

it("the same set of events gives the same tree in any order, batching and repetition", () => {
  const exact = (reducer: FlowReducer) => JSON.stringify([reducer.entries().map(canonical), [...walk(reducer.tree())].map(rowOf).map(canonical)]);
  for (let seed = 1; seed <= 500; seed++) {
    const random = randoms(seed);
    const events = randomEvents(random);
    const more = randomEvents(random);
    const whole = exact(new FlowReducer([...events, ...more]));
    const shuffled = [...more, ...events, ...events].sort(() => random() - 0.5);
    expect(exact(new FlowReducer(shuffled)), `seed ${seed}`).toBe(whole);
    const merged = new FlowReducer(events).entries();
    expect(exact(new FlowReducer([...more, ...JSON.parse(JSON.stringify(merged))])), `seed ${seed}`).toBe(whole);
  }
});

it("10,000 spans within each other are quick", () => {
  const reducer = new FlowReducer();
  for (let i = 0; i < 10_000; i++) {
    reducer.add({ phase: "start", node_id: `n${i}`, parent_id: i === 0 ? null : `n${i - 1}`, start_ns: String(i) });
  }
  const begin = performance.now();
  expect([...walk(reducer.tree({ nowNs: 20_000n }))].at(-1)?.depth).toBe(9_999);
  expect(performance.now() - begin).toBeLessThan(5000);
});
