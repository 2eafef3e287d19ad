import { EventError, type SpanEvent } from "../reducer/event";
import { rootOf, startedAt } from "../reducer/flowTimes";
import { FlowReducer } from "../reducer/reducer";
import { stepKey, type Outlook, type Tree } from "../reducer/tree";

/** So many flows of one user are kept on the page; the oldest complete ones go first. */
const KEPT_FLOWS = 20;

/** One flow on the page, live or past: everything that is known of it, and its tree. */
export class FlowModel {
  private readonly reducer = new FlowReducer();
  private readonly lost = new Set<string>();
  private isOpen = true;
  private isTruncated = false;
  private unreadable = 0;
  private changes = 0;
  private times: { readonly version: number; readonly newestNs: bigint; readonly startNs: bigint | undefined } | undefined;

  /** `usualP95Ns`: how long each kind of step usually takes, in nanoseconds, as far as the viewer has said. */
  constructor(
    readonly flowId: string,
    readonly usualP95Ns: ReadonlyMap<string, number> = new Map(),
  ) {}

  /** Another one whenever anything about the flow has changed. */
  get version(): number {
    return this.changes;
  }

  get size(): number {
    return this.reducer.size;
  }

  get open(): boolean {
    return this.isOpen;
  }

  set open(open: boolean) {
    if (open !== this.isOpen) this.changed();
    this.isOpen = open;
  }

  /** Whether its beginning is gone. */
  get truncated(): boolean {
    return this.isTruncated;
  }

  set truncated(truncated: boolean) {
    if (truncated !== this.isTruncated) this.changed();
    this.isTruncated = truncated;
  }

  /** Events that could not be read. */
  get damaged(): number {
    return this.unreadable;
  }

  addAll(events: readonly unknown[]): void {
    for (const event of events) {
      try {
        if (this.reducer.add(event)) this.changed();
      } catch (error) {
        if (!(error instanceof EventError)) throw error;
        this.unreadable++;
        this.changed();
      }
    }
  }

  setProcess(process: string, alive: boolean): void {
    if (alive ? this.lost.delete(process) : !this.lost.has(process)) this.changed();
    if (!alive) this.lost.add(process);
  }

  /** Something that it is judged by has changed, such as what is usual. */
  changed(): void {
    this.changes++;
  }

  tree(nowNs: bigint): Tree {
    const outlook: Outlook = { nowNs, usualP95Ns: this.usualP95Ns };
    // What a complete flow still has open will not go on.
    if (!this.open) return this.reducer.tree({ ...outlook, alive: new Set() });
    if (this.lost.size === 0) return this.reducer.tree(outlook);
    const processes = this.reducer.entries().map((entry) => entry.process ?? "");
    return this.reducer.tree({ ...outlook, alive: new Set(processes.filter((process) => !this.lost.has(process))) });
  }

  /** The newest moment that any event tells of. */
  newestNs(): bigint {
    return this.timesNow().newestNs;
  }

  /** One merged entry per span, in start order. */
  entries(): readonly SpanEvent[] {
    return this.reducer.entries();
  }

  /** The flow as it was at a moment: what began later is not there, and what ended later is open. */
  asOf(ns: bigint): FlowModel {
    const past = new FlowModel(this.flowId, this.usualP95Ns);
    past.addAll(this.reducer.entries().flatMap((entry) => entryAsOf(entry, ns) ?? []));
    past.truncated = this.truncated;
    past.open = this.open || past.entries().some((entry) => entry.phase !== "end");
    return past;
  }

  /** How long its root usually takes at most, if the viewer has said. */
  usualNs(): number | undefined {
    const root = rootOf(this.reducer.entries());
    return root === undefined ? undefined : this.usualP95Ns.get(stepKey(root));
  }

  startNs(): bigint | undefined {
    return this.timesNow().startNs;
  }

  private timesNow() {
    if (this.times?.version !== this.changes) {
      const entries = this.reducer.entries();
      this.times = { version: this.changes, newestNs: newestOf(entries), startNs: startedAt(entries) };
    }
    return this.times;
  }
}

function newestOf(entries: readonly SpanEvent[]): bigint {
  let newest = 0n;
  for (const entry of entries) {
    for (const text of [entry.start_ns, entry.updated_ns, entry.end_ns]) {
      const time = text === undefined ? 0n : BigInt(text);
      if (time > newest) newest = time;
    }
  }
  return newest;
}

/** The flows of one topic that is followed. `version` changes with every change. */
export class LiveFlows {
  readonly flows = new Map<string, FlowModel>();
  private readonly usualP95Ns = new Map<string, number>();
  version = 0;
  /** Why the server stopped following, e.g. `expired`; undefined while it follows. */
  ended: string | undefined;
  /** How many events have come. */
  received = 0;
  /** When the last one came, by the viewer's clock; null while none has. */
  lastEventMs: number | null = null;

  constructor(private readonly kept: number = KEPT_FLOWS) {}

  /** So many events have come just now; `atMs` is null for those of the past. */
  heard(events: number, atMs: number | null): void {
    this.received += events;
    if (atMs !== null) this.lastEventMs = atMs;
  }

  /** How long steps usually take at most, from the viewer's history: what takes longer is slow. */
  setUsual(p95Ns: Readonly<Record<string, number>>): void {
    for (const [step, ns] of Object.entries(p95Ns)) this.usualP95Ns.set(step, ns);
    for (const model of this.flows.values()) model.changed();
  }

  flow(flowId: string): FlowModel {
    let model = this.flows.get(flowId);
    if (model === undefined) {
      model = new FlowModel(flowId, this.usualP95Ns);
      this.flows.set(flowId, model);
      this.forgetOldest();
    }
    return model;
  }

  /** Newest first. A flow of which only the notice has come has no start yet: it is the newest. */
  newestFirst(): FlowModel[] {
    const starts = new Map([...this.flows.values()].map((model) => [model, model.startNs()] as const));
    return [...starts.keys()].sort((a, b) => compareStarts(starts.get(b), starts.get(a)));
  }

  private forgetOldest(): void {
    if (this.flows.size <= this.kept) return;
    const oldest = this.newestFirst().reverse().find((model) => !model.open);
    if (oldest !== undefined) this.flows.delete(oldest.flowId);
  }
}

/** What was known of a span at a moment, from what is known now; undefined before it began. */
function entryAsOf(entry: SpanEvent, ns: bigint): SpanEvent | undefined {
  const { end_ns, updated_ns, outcome, status, status_message, ...begun } = entry;
  if (BigInt(entry.start_ns ?? end_ns ?? 0) > ns) return undefined;
  if (entry.phase !== "end" || (end_ns !== undefined && BigInt(end_ns) <= ns)) return entry;
  return { ...begun, phase: "start", logs: (entry.logs ?? []).filter((log) => BigInt(log.time_ns) <= ns) };
}

function compareStarts(one: bigint | undefined, other: bigint | undefined): number {
  if (one === other) return 0;
  if (one === undefined) return 1;
  if (other === undefined) return -1;
  return one < other ? -1 : 1;
}
