import { durationNs } from "../format";
import { isCheckpoint } from "../reducer/event";
import { explanation, label, type Appearance } from "./appearance";
import { kindOf } from "./kind";
import type { Row } from "./rows";
import type { Sums } from "./sums";
import { bar, elapsedNs, type Timeline } from "./timeline";

/**
 * What a row shows, in texts and numbers: a row whose facts are the same need not be drawn again, and does not hold on to
 * the tree that it was made from.
 */
export interface RowFacts {
  readonly rowKey: string;
  readonly nodeId: string;
  readonly label: string;
  readonly name: string | undefined;
  readonly eventType: string;
  readonly kind: string;
  readonly checkpoint: boolean;
  readonly depth: number;
  readonly expandable: boolean;
  readonly folded: boolean;
  /** Of how many equal spans it stands; null for a single one. */
  readonly run: number | null;
  readonly look: Appearance;
  readonly why: string | null;
  readonly took: string;
  readonly outside: boolean;
  /** Its bar, in hundredths of the time that is shown; null when it lies outside. */
  readonly left: number | null;
  readonly width: number | null;
  /** What is folded away behind it: spans, and those of them that went wrong. */
  readonly hidden: number;
  readonly errors: number;
  readonly denials: number;
}

/** `below` are the sums of what is folded away, if anything is. */
export function rowFacts(row: Row, look: Appearance, timeline: Timeline, nowNs: bigint, below: Sums | undefined): RowFacts {
  const { key, node, run, depth, expandable, folded } = row;
  const nodes = run ?? [node];
  const single = run === null;
  const elapsed = single ? elapsedNs(node, nowNs) : nodes.reduce((sum, each) => sum + (elapsedNs(each, nowNs) ?? 0n), 0n);
  const drawn = bar(nodes, timeline, nowNs);
  return {
    rowKey: key,
    nodeId: node.nodeId,
    label: label(node),
    name: node.entry?.name,
    eventType: node.entry?.event_type ?? "",
    kind: kindOf(node.entry?.event_type),
    checkpoint: node.entry !== undefined && isCheckpoint(node.entry),
    depth,
    expandable,
    folded,
    run: run?.length ?? null,
    look,
    why: single ? explanation(node) : null,
    took: elapsed === undefined ? "–" : durationNs(elapsed),
    outside: single && node.outsideFlow,
    left: drawn?.left ?? null,
    width: drawn?.width ?? null,
    hidden: below === undefined || !single ? 0 : below.spans - 1,
    // The row itself says what is its own.
    errors: below === undefined ? 0 : below.errors - (single && look.look === "error" ? 1 : 0),
    denials: below === undefined ? 0 : below.denials - (single && look.look === "denied" ? 1 : 0),
  };
}
