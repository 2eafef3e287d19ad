"""What comes in by OTLP goes out as it was, as OTLP's JSON and as Jaeger's tags."""

import base64
import json
from typing import Any

import hypothesis.strategies as st
import orjson
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.otlp.otlp_writer import resource_spans
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.jaeger.v1_json import trace_v1
from spanflow.viewer_api.otlp.messages import PROTOBUF, read_traces
from spanflow.viewer_api.otlp.sources import Sources
from spanflow.viewer_api.otlp.span_decoder import SpanDecoder
from spanflow.viewer_api.otlp.unplaced_logs import KnownResponses
from tests.support.otlp_client import START_NS, pairs

TRACE = bytes(range(1, 17))

# Without letters nothing looks like a secret or a name of content, which are hidden on purpose.
_texts = st.text(alphabet="01 .-é", max_size=12)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    _texts,
    st.binary(max_size=8),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x1", "x2"]), inner, max_size=2),
    max_leaves=5,
)
_attributes = st.dictionaries(st.sampled_from(["x1", "x2", "x3", "http.route"]), _values, max_size=4)
_moments = st.integers(START_NS, START_NS + 10**12)
_flags = st.sampled_from([0, 1, 0x100, 0x101, 0x301])
_states = st.sampled_from(["", "a=1", "a=1,b=2"])


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    made = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        start = draw(_moments)
        span = Span(
            trace_id=TRACE,
            span_id=number.to_bytes(8, "big"),
            trace_state=draw(_states),
            flags=draw(_flags),
            name=draw(_texts),
            kind=draw(st.integers(0, 5)),  # type: ignore[arg-type]
            start_time_unix_nano=start,
            end_time_unix_nano=start + draw(st.integers(0, 10**10)),
            attributes=pairs(draw(_attributes)),
            dropped_attributes_count=draw(st.integers(0, 2)),
            dropped_events_count=draw(st.integers(0, 2)),
            dropped_links_count=draw(st.integers(0, 2)),
        )
        if number > 1:
            span.parent_span_id = draw(st.integers(1, number - 1)).to_bytes(8, "big")
        for _ in range(draw(st.integers(0, 2))):
            span.events.add(name=draw(_texts), time_unix_nano=draw(_moments), attributes=pairs(draw(_attributes)))
        for _ in range(draw(st.integers(0, 2))):
            span.links.add(
                trace_id=draw(st.binary(min_size=16, max_size=16)),
                span_id=draw(st.binary(min_size=8, max_size=8)),
                trace_state=draw(_states),
                flags=draw(_flags),
                attributes=pairs(draw(_attributes)),
            )
        code = draw(st.integers(0, 2))
        if code:
            span.status.CopyFrom(Status(code=code, message=draw(_texts) if code == 2 else ""))  # type: ignore[arg-type]
        made.append(span)
    return made


def stored(*groups: ResourceSpans) -> flow_data.FlowData:
    """The document of the one flow that these spans make, the last time that they come."""
    settings = Settings()
    sources = Sources(settings, Redactor(RedactionPolicy(content="full")), NoWatchedUsers())
    decoder = SpanDecoder(KnownResponses())
    for group in groups:
        request = ExportTraceServiceRequest(resource_spans=[group])
        (lazy,) = read_traces(request.SerializeToString(), PROTOBUF).groups
        source, _ = sources.of(lazy)
        for scope_spans in lazy.scope_spans:
            scope = source.scope(scope_spans)
            for data in scope_spans.spans:
                decoder.decode(data, source, scope, 0.0)
        source.encoder.complete_all()
    return document_of(source.encoder.parts[-1])


def document_of(part: FlowPart) -> flow_data.FlowData:
    reducer = flow_data.read({"events": list(map(orjson.loads, part.entries))})
    processes = {part.instance_id: orjson.loads(part.process)}
    return flow_data.build(part.flow_id, reducer.entries(), processes=processes)


def parsed(groups: list[dict[str, Any]]) -> ExportTraceServiceRequest:
    """What was written, as a receiver reads it."""
    document = json.loads(json.dumps({"resourceSpans": groups}))
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = base64.b64encode(bytes.fromhex(holder[key])).decode()
    read = ExportTraceServiceRequest()
    ParseDict(document, read)
    return read


def by_id(group: ResourceSpans) -> list[dict[str, Any]]:
    found = [MessageToDict(span) for scope in group.scope_spans for span in scope.spans]
    return sorted((ordered(span) for span in found), key=lambda span: str(span["spanId"]))


def ordered(value: Any) -> Any:
    """Attributes are a map: their order says nothing. An empty status is none."""
    if isinstance(value, dict):
        shown = {key: ordered(member) for key, member in value.items() if key != "status" or member}
        for key in ("attributes", "values"):
            if key in shown and shown[key] and isinstance(shown[key][0], dict) and "key" in shown[key][0]:
                shown[key] = sorted(shown[key], key=lambda pair: str(pair["key"]))
        return shown
    return [ordered(member) for member in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(spans(), _attributes, _attributes)
def test_otlp_in_is_otlp_out(made: list[Span], resource: dict[str, Any], scope: dict[str, Any]) -> None:
    group = ResourceSpans(schema_url="https://example.org/1")
    group.resource.attributes.extend(pairs({"service.name": "router", **resource}))
    scoped = group.scope_spans.add(schema_url="https://example.org/2")
    scoped.scope.name, scoped.scope.version = "router.http", "1.2"
    scoped.scope.attributes.extend(pairs(scope))
    scoped.spans.extend(made)
    document = stored(group)
    entries = flow_data.read(document).entries()
    (out,) = parsed(resource_spans(TRACE.hex(), entries, document["processes"])).resource_spans
    assert by_id(out) == by_id(group)
    assert ordered(MessageToDict(out.resource)) == ordered(MessageToDict(group.resource))
    assert [ordered(MessageToDict(each.scope)) for each in out.scope_spans] == [ordered(MessageToDict(scoped.scope))]
    assert (out.schema_url, out.scope_spans[0].schema_url) == (group.schema_url, scoped.schema_url)

    shown = {span["spanID"]: span for span in trace_v1(TRACE.hex(), entries, document["processes"], 0)["spans"]}
    for span in made:
        v1 = shown[span.span_id.hex()]
        assert (v1["traceID"], v1["operationName"], v1["startTime"]) == (
            TRACE.hex(),
            span.name,
            span.start_time_unix_nano // 1000,
        )
        assert v1["duration"] == (span.end_time_unix_nano - span.start_time_unix_nano) // 1000
        assert [log["timestamp"] for log in v1["logs"]] == [event.time_unix_nano // 1000 for event in span.events]
        assert {pair.key for pair in span.attributes} <= {tag["key"] for tag in v1["tags"]}
        assert ("error" in {tag["key"] for tag in v1["tags"]}) == (span.status.code == 2)
        wanted = [("CHILD_OF", span.parent_span_id.hex())] if span.parent_span_id else []
        wanted += [
            ("FOLLOWS_FROM", link.span_id.hex()) for link in span.links if span.parent_span_id or link.trace_id != TRACE
        ]
        assert [(reference["refType"], reference["spanID"]) for reference in v1["references"]] == wanted


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.booleans(), st.sampled_from([b"", b"\x0a\x01x", b"\x2a\x01y", b"\x39" + bytes(8)]))
def test_a_span_like_others_is_taken_in_as_if_it_were_the_first(seed: int, rooted: bool, again: bytes) -> None:
    """Also where a field is written twice, of which the last one counts."""
    group = ResourceSpans()
    group.resource.attributes.extend(pairs({"service.name": "router"}))
    scoped = group.scope_spans.add()
    for number in range(1, 5):
        scoped.spans.add(
            trace_id=TRACE,
            span_id=(seed * 100 + number).to_bytes(8, "big"),
            parent_span_id=b"" if rooted and number == 1 else (7).to_bytes(8, "big"),
            name="a step",
            kind=seed % 6,
            start_time_unix_nano=START_NS + number,
            end_time_unix_nano=START_NS + 1000 * number,
            attributes=pairs({"user.id": "7", "gen_ai.tool.name": f"tool-{seed}", "password": "hunter2"}),
            flags=seed,
        )
    repeated = [span.SerializeToString() + (again if again[:1] != b"\x0a" else b"") for span in scoped.spans]
    decoded, alone = (taken_in(group, repeated, apart) for apart in (False, True))
    assert decoded == alone
    assert b"hunter2" not in orjson.dumps(decoded)


def taken_in(group: ResourceSpans, spans: list[bytes], apart: bool) -> list[dict[str, Any]]:
    """The entries of these spans, taken in three times by one ingest, or each of them by one of its own."""
    policy = Redactor(RedactionPolicy())
    decoders = [SpanDecoder(KnownResponses()) for _ in range(len(spans) * 3 if apart else 1)]
    sources = Sources(Settings(), policy, NoWatchedUsers())
    source, _ = sources.of(group)
    scope = source.scope(group.scope_spans[0])
    for number, data in enumerate(spans * 3):
        decoders[number % len(decoders)].decode(data, source, scope, 0.0)
    source.encoder.complete_all()
    return [json.loads(entry) for part in source.encoder.parts for entry in part.entries]
