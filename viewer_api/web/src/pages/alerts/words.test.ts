import { describe, expect, it } from "vitest";
import { sentence, valueWords } from "./words";

const rule = (condition: object, more: object = {}) => sentence({ filters: {}, for_seconds: 0, condition: { kind: "", alert: 0, ...condition }, ...more });

describe("a rule in plain words", () => {
  it.each([
    [{ kind: "still_running", alert: 120, warning: 60 }, "Alert when a flow is still running after 2 min. Warn from 1 min on."],
    [{ kind: "longer_than", alert: 10_000, window_seconds: 300 }, "Alert when a flow that ended within 5 min took 10 s or longer."],
    [{ kind: "slower_than_usual", alert: 3, window_seconds: 300 }, "Alert when a flow that ended within 5 min took 3 × its usual time (p95) or longer."],
    [{ kind: "error_rate", alert: 0.2, window_seconds: 300, min_samples: 20 }, "Alert when 20 % or more of flows within 5 min fail (of at least 20)."],
    [{ kind: "no_activity", alert: 900 }, "Alert when no flow has begun, run or ended for 15 min."],
    [
      { kind: "step_slower_than_usual", by: "tool", name: "search", alert: 3, window_seconds: 300 },
      "Alert when the p95 of steps with the tool search within 5 min is 3 × the usual p95 or more.",
    ],
    [{ kind: "losses", alert: 1, window_seconds: 3600 }, "Alert when 1 or more spans or flows were lost within 1 h."],
  ])("%j", (condition, words) => expect(rule(condition)).toBe(words));

  it("says which flows it is about, and how patient it is", () => {
    const more = { filters: { tool: ["list_jobs", "drop"], user_id: [7], model: [], step: ["tool_call:a, b"] }, for_seconds: 60 };
    expect(rule({ kind: "denial_rate", alert: 0.5 }, more)).toBe("Alert when 50 % or more of flows with the tool list_jobs or drop and of user 7 and with the step tool_call:a, b are denied, for 1 min.");
  });
});

it.each([
  [0.25, "share", "25 %"],
  [1500, "ms", "1.50 s"],
  [90, "s", "1 min 30 s"],
  [null, "s", "–"],
])("%d %s is %s", (value, unit, words) => expect(valueWords(value, unit)).toBe(words));
