import type { TimedMessage } from "../../api/playback";
import { applied } from "../../live/applied";
import { LiveFlows } from "../../live/liveFlows";

/** As many flows as the viewer plays at once. */
const MOST_FLOWS = 200;
/** Without a message for so long, nothing happens. */
const IDLE_MS = 1_000;
/** So much of an idle time is played, at either end of it. */
const EDGE_MS = 250;

/** Messages with their moments, and the flows as they were at any of them: made by the reducer of the live view. */
export class Recording {
  private flows = new LiveFlows(MOST_FLOWS);
  /** How many messages are in `flows`. */
  private reached = 0;
  /** Moments at which something happens, each once. */
  readonly moments: readonly number[];

  constructor(
    readonly startedNs: bigint,
    readonly durationMs: number,
    readonly messages: readonly TimedMessage[],
  ) {
    this.moments = [...new Set(messages.map(({ at_ms }) => at_ms))];
  }

  /** The same on another clock, that of recordings which are played side by side. */
  on(startedNs: bigint, durationMs: number): Recording {
    const laterMs = Number(this.startedNs - startedNs) / 1e6;
    return new Recording(startedNs, durationMs, this.messages.map(({ at_ms, message }) => ({ at_ms: at_ms + laterMs, message })));
  }

  /** The flows at a moment. The same object as long as time goes on; going back starts over. */
  at(ms: number): LiveFlows {
    if (this.reached > 0 && (this.messages[this.reached - 1]?.at_ms ?? 0) > ms) {
      this.flows = new LiveFlows(MOST_FLOWS);
      this.reached = 0;
    }
    const before = this.reached;
    for (let next = this.messages[this.reached]; next !== undefined && next.at_ms <= ms; next = this.messages[this.reached]) {
      const now = this.startedNs / 1_000_000n;
      applied(this.flows, next.message, () => Number(now) + next.at_ms);
      this.reached++;
    }
    if (this.reached !== before) this.flows.version++;
    return this.flows;
  }

  /** The next moment at which something happens; the end when nothing does any more. */
  after(ms: number): number {
    return this.moments.find((moment) => moment > ms) ?? this.durationMs;
  }

  before(ms: number): number {
    return this.moments.findLast((moment) => moment < ms) ?? 0;
  }

  /** The next moment at which something goes wrong. */
  nextFailure(ms: number): number | undefined {
    return this.failures.find((moment) => moment > ms);
  }

  get failures(): readonly number[] {
    return this.messages.flatMap(({ at_ms, message }) => (message.type === "events" && message.events.some(wentWrong) ? [at_ms] : []));
  }

  /** Where a playback has come to after so long: with `skipIdle` it leaps over times in which nothing happens. */
  advanced(ms: number, byMs: number, skipIdle: boolean): number {
    const to = Math.min(ms + byMs, this.durationMs);
    if (!skipIdle) return to;
    const next = this.after(ms);
    const last = this.moments.findLast((moment) => moment <= ms) ?? 0;
    const idle = next - last > IDLE_MS && to > last + EDGE_MS && to < next - EDGE_MS;
    return idle ? next - EDGE_MS : to;
  }
}

/** Recordings on one clock: each by itself, and all of them as one. */
export function together(recordings: readonly Recording[]): { readonly all: Recording; readonly each: readonly Recording[] } | null {
  const [first, ...others] = recordings;
  if (first === undefined) return null;
  if (others.length === 0) return { all: first, each: recordings };
  const startedNs = others.reduce((least, { startedNs: other }) => (other < least ? other : least), first.startedNs);
  const ends = recordings.map((each) => Number(each.startedNs - startedNs) / 1e6 + each.durationMs);
  const durationMs = Math.max(...ends);
  const each = recordings.map((one) => one.on(startedNs, durationMs));
  const messages = each.flatMap((one) => one.messages).sort((a, b) => a.at_ms - b.at_ms);
  return { all: new Recording(startedNs, durationMs, messages), each };
}

function wentWrong(event: unknown): boolean {
  if (typeof event !== "object" || event === null) return false;
  const { outcome, status } = event as { readonly outcome?: unknown; readonly status?: unknown };
  return outcome === "error" || outcome === "denied" || (outcome === undefined && status === "error");
}
