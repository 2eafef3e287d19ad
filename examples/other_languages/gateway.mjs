// One chat turn of a gateway that is not written in Python, sent to Spanflow's viewer by OTLP/HTTP. Node 18 or newer,
// no packages; with OpenTelemetry's SDK the environment variables in docs/receiving-spans.md do the sending.
//
//   VIEWER_URL=http://127.0.0.1:8600 VIEWER_INGEST_TOKEN=… node gateway.mjs
import { randomBytes } from "node:crypto";

const viewer = process.env.VIEWER_URL ?? "http://127.0.0.1:8600";
const token = process.env.VIEWER_INGEST_TOKEN ?? "";
const traceId = randomBytes(16).toString("hex");
const nanoseconds = () => `${BigInt(Date.now()) * 1_000_000n}`;

/** Attributes as OTLP's JSON has them. */
function attributes(values) {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
  }));
}

const spans = [];

/** Does some work as a span. `kind`: 1 internal, 2 server, 3 client. */
async function traced(name, kind, parent, given, work) {
  const spanId = randomBytes(8).toString("hex");
  const span = { traceId, spanId, name, kind, startTimeUnixNano: nanoseconds(), attributes: attributes(given), status: {} };
  if (parent !== null) span.parentSpanId = parent;
  try {
    await work(spanId);
  } catch (error) {
    span.status = { code: 2, message: String(error) };
    throw error;
  } finally {
    span.endTimeUnixNano = nanoseconds();
    spans.push(span);
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

await traced("POST /chat", 2, null, { "user.id": "7", "gen_ai.conversation.id": "chat-1" }, async (root) => {
  // flow.checkpoint.type makes a span one of the steps that dashboards show; those of models and tools need none.
  await traced("auth_check", 1, root, { "flow.checkpoint.type": "auth_check" }, () => pause(2));
  await traced("chat small", 3, root, {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "small",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
  }, () => pause(20));
  await traced("execute_tool search", 1, root, { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search" }, () => pause(5));
});

const answer = await fetch(`${viewer}/v1/traces`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
  body: JSON.stringify({
    resourceSpans: [{
      resource: { attributes: attributes({ "service.name": "node-gateway" }) },
      scopeSpans: [{ scope: { name: "gateway.mjs" }, spans }],
    }],
  }),
});
if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
console.log(traceId);
