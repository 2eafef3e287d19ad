import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { verdictOf } from "./outcome";
import { FlowReducer } from "./reducer";
import { rowOf, walk, type Outlook } from "./tree";

interface Repeat {
  readonly count: number;
  readonly events: readonly Record<string, unknown>[];
  readonly tree: readonly Record<string, unknown>[];
}

interface Vector {
  readonly says: string;
  readonly events: readonly Record<string, unknown>[];
  readonly tree?: readonly Record<string, unknown>[];
  readonly entries?: readonly Record<string, unknown>[];
  readonly verdict?: { outcome: string | null; gate: string | null; reason: string | null; outcome_reason?: string };
  readonly repeat?: Repeat;
  readonly outlook?: { now_ns?: string; alive?: string[]; usual_p95_ns?: Record<string, number>; stalled_after_ns?: number };
}

const folder = new URL("../../../../tests/vectors/", import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => [name, JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Vector] as const);

function copies(templates: readonly Record<string, unknown>[], count: number): Record<string, unknown>[] {
  const hex = (i: number) => i.toString(16).padStart(16, "0");
  return Array.from({ length: count }, (_, i) => {
    const filled = new Map<unknown, unknown>([
      ["{node}", hex(i)],
      ["{parent}", i === 0 ? null : hex(i - 1)],
      ["{depth}", i],
      ["{start}", String(10n ** 18n + BigInt(i))],
      ["{end}", String(2n * 10n ** 18n - BigInt(i))],
    ]);
    return templates.map((template) =>
      Object.fromEntries(Object.entries(template).map(([key, value]) => [key, filled.has(value) ? filled.get(value) : value])),
    );
  }).flat();
}

function expand({ events, tree = [], repeat }: Vector) {
  const { count, ...more } = repeat ?? { count: 0, events: [], tree: [] };
  return { events: [...events, ...copies(more.events, count)], tree: [...tree, ...copies(more.tree, count)] };
}

function outlookOf({ outlook = {} }: Vector): Outlook {
  return {
    ...(outlook.now_ns === undefined ? {} : { nowNs: BigInt(outlook.now_ns) }),
    ...(outlook.alive === undefined ? {} : { alive: new Set(outlook.alive) }),
    ...(outlook.stalled_after_ns === undefined ? {} : { stalledAfterNs: BigInt(outlook.stalled_after_ns) }),
    usualP95Ns: new Map(Object.entries(outlook.usual_p95_ns ?? {})),
  };
}

function rows(reducer: FlowReducer, vector: Vector) {
  return [...walk(reducer.tree(outlookOf(vector)))].map(rowOf);
}

describe.each(vectors)("%s", (_, vector) => {
  const { events, tree } = expand(vector);

  it("becomes the expected entries and tree", () => {
    const reducer = new FlowReducer(events);
    expect(rows(reducer, vector)).toEqual(tree);
    if (vector.entries !== undefined) expect(reducer.entries()).toEqual(vector.entries);
    if (vector.verdict !== undefined) {
      const { outcome, gate, reason, outcomeReason } = verdictOf(reducer.tree());
      expect({ outcome, gate, reason, outcome_reason: outcomeReason }).toEqual({ outcome_reason: null, ...vector.verdict });
    }
  });

  it("does so in any order, repeated, and merged in between", () => {
    const half = Math.floor(events.length / 2);
    const first = new FlowReducer(events.slice(0, half)).entries();
    expect(rows(new FlowReducer([...events.slice(half).reverse(), ...first]), vector)).toEqual(tree);
    expect(rows(new FlowReducer(new FlowReducer([...events, ...events]).entries()), vector)).toEqual(tree);
  });
});

it("finds the vectors", () => {
  expect(vectors.length).toBeGreaterThan(10);
});
