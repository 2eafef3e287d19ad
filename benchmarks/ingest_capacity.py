"""How many received spans a second the viewer's ingest brings into Redis and PostgreSQL, against decoding them alone.

Decoding alone is what a receiver does that keeps nothing: the protobuf message, and each span's fields and attributes
as Python values, in one thread. A ratio of 0.5 means that all the rest (redaction, types, identity, the event and the
flow's entry as bytes) costs as much again. By CPU that is one thread's time, with no servers; by the clock it is how
many spans a second get through while Redis, PostgreSQL and the threads that write to them share the machine.

Most spans say what others have said before. `unique` is the other extreme: no two spans have the same attributes.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.variants import Servers
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.otlp import messages
from spanflow.viewer_api.otlp.ingest import Ingest
from spanflow.viewer_api.otlp.sources import Sources
from spanflow.viewer_api.otlp.span_decoder import SpanDecoder
from spanflow.viewer_api.otlp.span_queue import Batch
from spanflow.viewer_api.otlp.unplaced_logs import KnownResponses

_REQUESTS = 20
_FLOWS = 100
_STEPS = 10
_SPANS = _REQUESTS * _FLOWS * _STEPS
_WITHIN = 120.0
_TURNS = 5


def bodies(seed: int, *, unique: bool = False) -> list[bytes]:
    """Requests as a Collector sends them: flows of ten steps, of one service."""
    begun = time.time_ns()
    return [_body((seed << 64) + (number << 32), begun, unique) for number in range(_REQUESTS)]


def _body(first: int, begun: int, unique: bool) -> bytes:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.append(_pair("service.name", "router"))
    spans = group.scope_spans.add().spans
    for flow in range(_FLOWS):
        trace_id = (first + flow + 1).to_bytes(16, "big")
        for step in range(_STEPS, 0, -1):
            spans.append(_span(trace_id, step, begun, unique))
    written: bytes = message.SerializeToString()
    return written


def _span(trace_id: bytes, step: int, begun: int, unique: bool) -> Span:
    pairs = {"user.id": str(trace_id[-1] % 50), "flow.session_id": f"s-{trace_id[-1]}"}
    if step % 2 == 0:
        pairs |= {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": f"tool-{step}",
            "server.address": "mcp-1",
        }
    if unique:
        pairs["gen_ai.tool.call.id"] = f"call-{trace_id.hex()}-{step}"
    return Span(
        trace_id=trace_id,
        span_id=step.to_bytes(8, "big"),
        parent_span_id=b"" if step == 1 else (1).to_bytes(8, "big"),
        name="POST /chat" if step == 1 else f"step {step}",
        kind=2 if step == 1 else 1,  # type: ignore[arg-type]
        start_time_unix_nano=begun + step,
        end_time_unix_nano=begun + 1_000_000 * step,
        attributes=[_pair(key, value) for key, value in pairs.items()],
    )


def _pair(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def decoding(requests: list[bytes]) -> float:
    """Spans per second of decoding alone, by the protocol's own messages: it shares no code with the ingest."""
    begun = time.perf_counter()
    for body in requests:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope_spans in group.scope_spans:
                for span in scope_spans.spans:
                    decoded(span)
    return _SPANS / (time.perf_counter() - begun)


def decoded(span: Span) -> tuple[object, ...]:
    """The fields of a span as Python values."""
    return (
        int.from_bytes(span.trace_id, "big"),
        int.from_bytes(span.span_id, "big"),
        int.from_bytes(span.parent_span_id, "big"),
        span.name,
        span.kind,
        span.flags,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.trace_state,
        span.status if span.HasField("status") else None,
        [_attributes(event.attributes) for event in span.events],
        [_attributes(link.attributes) for link in span.links],
        _attributes(span.attributes),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: pair.value.string_value for pair in pairs}


def encoding(requests: list[bytes]) -> None:
    """Decode and encode, and let nothing be written: what the ingest's own threads do."""
    settings = Settings()
    sources = Sources(settings, Redactor(RedactionPolicy.from_settings(settings)), NoWatchedUsers())
    decoder = SpanDecoder(KnownResponses())
    for now, body in enumerate(requests):
        for group in messages.read_traces(body, messages.PROTOBUF).groups:
            source, _ = sources.of(group)
            encoder = source.encoder
            for scope_spans in group.scope_spans:
                scope = source.scope(scope_spans)
                for data in scope_spans.spans:
                    decoder.decode(data, source, scope, float(now))
            encoder.complete(float(now))
            encoder.events, encoder.parts = [], []


def cpu(repeated: list[bytes], unique: list[bytes]) -> dict[str, float]:
    """CPU of decoding alone, and with encoding, by turns in this process: other work on the machine changes both."""
    us: dict[str, float] = {}
    for _ in range(_TURNS):
        for prefix, requests in (("", repeated), ("unique_", unique)):
            for name, work in (("decoding_cpu_us", decoding), ("encoding_cpu_us", encoding)):
                begun = time.thread_time()
                work(requests)
                used = (time.thread_time() - begun) / _SPANS * 1e6
                us[prefix + name] = min(used, us.get(prefix + name, used))
    return us


def ingesting(servers: Servers, requests: list[bytes]) -> dict[str, float]:
    """Spans per second of the ingest, until they are encoded and until they are in Redis and PostgreSQL."""
    settings = Settings(
        redis_url=servers.redis_url, postgres_dsn=servers.postgres_dsn, data_dir=servers.data_dir, flow_grace=0.05
    )
    ingest = Ingest(settings)
    begun = time.perf_counter()
    for body in requests:
        read = messages.read_traces(body, messages.PROTOBUF)
        deadline = time.perf_counter() + _WITHIN
        while not ingest.accept(Batch(read.groups, read.spans, len(body))) and time.perf_counter() < deadline:
            time.sleep(0.005)  # as a client does that was told to come again
    encoded = _until(lambda: ingest.counts().spans.delivered >= _SPANS)
    stored = _until(lambda: not any(sink.waiting for sink in ingest.counts().sinks.values()))
    counts = ingest.counts()
    assert not counts.spans.lost and not any(sink.lost for sink in counts.sinks.values()), counts
    ingest.shutdown(10)
    return {"encoded_per_s": _SPANS / (encoded - begun), "stored_per_s": _SPANS / (stored - begun)}


def _until(done: Callable[[], bool]) -> float:
    deadline = time.perf_counter() + _WITHIN
    while not done() and time.perf_counter() < deadline:
        time.sleep(0.005)
    return time.perf_counter()


def main() -> None:
    servers = Servers(**json.loads(sys.argv[1]))
    ingesting(servers, bodies(1))
    alone = decoding(bodies(2))
    measured = {"decoding_per_s": alone, **ingesting(servers, bodies(3)), **cpu(bodies(4), bodies(5, unique=True))}
    measured["encoded_of_decoding"] = measured["encoded_per_s"] / alone
    measured["stored_of_decoding"] = measured["stored_per_s"] / alone
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    main()
