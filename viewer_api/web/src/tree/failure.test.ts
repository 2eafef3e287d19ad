import { expect, it } from "vitest";
import { verdictOf } from "../reducer/outcome";
import { FlowReducer } from "../reducer/reducer";
import { withFailure } from "./failure";

const span = (id: string, parent: string | null, from: number, more: object = {}) => ({
  node_id: id, parent_id: parent, phase: "end", start_ns: String(from), end_ns: String(from + 10), outcome: "ok", ...more,
});
const failed = (message?: string) => ({ outcome: "error", status: "error", ...(message === undefined ? {} : { status_message: message }) });
const verdict = (...spans: object[]) => {
  const tree = new FlowReducer(spans).tree({ nowNs: 100n });
  const { outcome, gate, reason } = withFailure(verdictOf(tree), tree);
  return { outcome, gate, reason };
};

it("says at which step a flow failed, and what that said", () => {
  const root = span("root", null, 0, { ...failed("it did not answer"), end_ns: "90" });
  const model = { event_type: "llm_thinking", name: "chat large" };
  expect(verdict(root, span("a", "root", 10, { ...model, ...failed("busy") }), span("b", "root", 30, { ...model, ...failed("the model is overloaded") }))).toEqual({
    outcome: "error", gate: "llm_thinking · chat large", reason: "the model is overloaded",
  });
  // What is only reported is no step.
  const report = span("z", "root", 60, { event_type: "error", name: "error", ...failed("try again later") });
  expect(verdict(root, span("a", "root", 10, { ...model, ...failed("busy") }), report)).toMatchObject({ gate: "llm_thinking · chat large", reason: "busy" });
  expect(verdict(root, report)).toMatchObject({ gate: null, reason: "try again later" });
  // Below a step that says nothing, the one above it has the word.
  expect(verdict(root, span("a", "root", 10, { ...model, ...failed() }))).toEqual({ outcome: "error", gate: "llm_thinking · chat large", reason: "it did not answer" });
  expect(verdict(root)).toEqual({ outcome: "error", gate: null, reason: "it did not answer" });
});

it("says nothing of a step that failed in a flow that went well", () => {
  const call = { event_type: "tool_call", name: "read", ...failed("gone") };
  const end = { event_type: "llm_complete", name: "llm_complete" };
  expect(verdict(span("root", null, 0, { end_ns: "90" }), span("a", "root", 10, call), span("b", "root", 50, end))).toEqual({ outcome: "ok", gate: null, reason: null });
});
