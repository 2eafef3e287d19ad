/** Time and timers; tests bring their own. */
export interface RedrawSurroundings {
  soon(callback: () => void, ms: number): void;
  /** Milliseconds that only ever grow. */
  elapsedMs(): number;
  /** Calls back when what was asked for just now has been drawn. */
  drawn(callback: () => void): void;
}

/** So often a part of the page is drawn anew at most. */
const LEAST_PAUSE_MS = 100;
/** So often, while it is out of view. */
const UNSEEN_PAUSE_MS = 1000;
/** Between two parts the browser gets to do everything else. */
const BREATH_MS = 2;
/** What takes longer than a frame of a screen is rested from. */
const SMOOTH_MS = 17;

/**
 * Draws the parts of the page of which there is news, one in each frame of the screen, in turn: each at most ten times a
 * second, once a second while it is out of view, and with pauses when frames take long, so that a page with too much to draw is drawn less often and stays usable.
 */
export class Redraws {
  /** What waits to be drawn, and when it may be: the first is due first. */
  private readonly waiting = new Map<string, { readonly dueMs: number; readonly draw: () => void }>();
  private readonly lastMs = new Map<string, number>();
  private readonly unseen = new Set<string>();
  private running = false;

  constructor(private readonly surroundings: RedrawSurroundings) {}

  ask(part: string, draw: () => void): void {
    if (this.waiting.has(part)) return;
    const now = this.surroundings.elapsedMs();
    this.waiting.set(part, { dueMs: Math.max(now, (this.lastMs.get(part) ?? -Infinity) + this.pauseOf(part)), draw });
    if (!this.running) this.next(BREATH_MS);
  }

  /** Whether the part is in view. What waits for one that comes into view is drawn soon. */
  setSeen(part: string, seen: boolean): void {
    if (!seen) this.unseen.add(part);
    else if (this.unseen.delete(part)) {
      const job = this.waiting.get(part);
      if (job === undefined) return;
      this.waiting.delete(part);
      this.ask(part, job.draw);
    }
  }

  private pauseOf(part: string): number {
    return this.unseen.has(part) ? UNSEEN_PAUSE_MS : LEAST_PAUSE_MS;
  }

  forget(part: string): void {
    this.waiting.delete(part);
    this.lastMs.delete(part);
    this.unseen.delete(part);
  }

  private next(pauseMs: number): void {
    const soonest = Math.min(...[...this.waiting.values()].map(({ dueMs }) => dueMs));
    this.running = this.waiting.size > 0;
    if (this.running) this.surroundings.soon(() => this.run(), Math.max(pauseMs, soonest - this.surroundings.elapsedMs()));
  }

  private run(): void {
    const begun = this.surroundings.elapsedMs();
    const [part, job] = [...this.waiting].find(([, { dueMs }]) => dueMs <= begun) ?? [];
    if (part === undefined || job === undefined) {
      this.next(BREATH_MS);
      return;
    }
    this.waiting.delete(part);
    this.lastMs.set(part, begun);
    job.draw();
    this.surroundings.drawn(() => this.next(Math.max(BREATH_MS, this.surroundings.elapsedMs() - begun - SMOOTH_MS)));
  }
}
