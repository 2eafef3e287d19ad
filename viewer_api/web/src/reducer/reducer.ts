import { checked, type SpanEvent } from "./event";
import { SpanRecord } from "./spanRecord";
import { buildTree, compareEntries, type Outlook, type Tree } from "./tree";

/**
 * Events in, a tree out: the same set of events gives the same tree, in any order, duplication and batching.
 *
 * The twin of Python's `spanflow.span_processors.tree.reducer`; both run the vectors in `tests/vectors/`.
 */
export class FlowReducer {
  private readonly records = new Map<string, SpanRecord>();
  private sorted: readonly SpanEvent[] | undefined;

  constructor(events: Iterable<unknown> = []) {
    for (const event of events) this.add(event);
  }

  /** How many spans have been seen. */
  get size(): number {
    return this.records.size;
  }

  /**
   * Take in an event, a merged entry, or an event of an older gateway; `EventError` for anything else. Whether that
   * changed anything.
   */
  add(value: unknown): boolean {
    const event = checked(value);
    let record = this.records.get(event.node_id);
    if (record === undefined) {
      record = new SpanRecord(event.node_id);
      this.records.set(event.node_id, record);
    }
    const changed = record.add(event);
    if (changed) this.sorted = undefined;
    return changed;
  }

  /** One merged entry per span, in start order; each is itself a valid input. */
  entries(): readonly SpanEvent[] {
    this.sorted ??= [...this.records.values()].map((record) => record.entry()).sort(compareEntries);
    return this.sorted;
  }

  tree(outlook: Outlook = {}): Tree {
    return buildTree(this.entries(), outlook);
  }
}
