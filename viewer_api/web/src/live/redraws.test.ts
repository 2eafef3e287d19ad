import { beforeEach, describe, expect, it } from "vitest";
import { Redraws } from "./redraws";

/** Time that passes when the test says so, and while something is drawn. */
class Screen {
  now = 0;
  costMs = 0;
  readonly drawn: [string, number][] = [];
  private waiting: { readonly at: number; readonly callback: () => void }[] = [];
  readonly redraws = new Redraws({
    soon: (callback, ms) => this.waiting.push({ at: this.now + ms, callback }),
    elapsedMs: () => this.now,
    drawn: (callback) => callback(),
  });

  ask(part: string): void {
    this.redraws.ask(part, () => {
      this.drawn.push([part, this.now]);
      this.now += this.costMs;
    });
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.waiting = this.waiting.filter((other) => other !== next);
      this.now = Math.max(this.now, next.at);
      next.callback();
    }
    this.now = Math.max(this.now, end);
  }
}

let screen: Screen;
beforeEach(() => {
  screen = new Screen();
});

describe("redraws", () => {
  it("draw each part ten times a second, however often there is news", () => {
    for (let i = 0; i < 1000; i++) {
      screen.ask("a");
      screen.ask("b");
      screen.pass(1);
    }
    const of = (part: string) => screen.drawn.filter(([drawn]) => drawn === part).length;
    expect(of("a")).toBe(10);
    expect(of("b")).toBe(10);
  });

  it("come soon after a quiet time", () => {
    screen.pass(5000);
    screen.ask("a");
    screen.pass(10);
    expect(screen.drawn).toHaveLength(1);
  });

  it("leave the browser time when they take long, and are fair", () => {
    screen.costMs = 50;
    for (let i = 0; i < 2000; i += 10) {
      for (const part of ["a", "b", "c", "d"]) screen.ask(part);
      screen.pass(10);
    }
    const starts = screen.drawn.map(([, at]) => at);
    for (const [index, at] of starts.entries()) {
      if (index > 0) expect(at - (starts[index - 1] ?? 0)).toBeGreaterThanOrEqual(50 + 50 - 17);
    }
    const counts = ["a", "b", "c", "d"].map((part) => screen.drawn.filter(([drawn]) => drawn === part).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it("draw a part that is out of view once a second, and soon when it comes into view", () => {
    screen.redraws.setSeen("a", false);
    for (let i = 0; i < 3000; i++) {
      screen.ask("a");
      screen.pass(1);
    }
    expect(screen.drawn).toHaveLength(3);
    screen.ask("a");
    screen.pass(100);
    screen.redraws.setSeen("a", true);
    screen.pass(10);
    expect(screen.drawn).toHaveLength(4);
  });

  it("forget a part that is gone", () => {
    screen.ask("a");
    screen.redraws.forget("a");
    screen.pass(1000);
    expect(screen.drawn).toEqual([]);
    screen.ask("a");
    screen.pass(10);
    expect(screen.drawn).toHaveLength(1);
  });
});
