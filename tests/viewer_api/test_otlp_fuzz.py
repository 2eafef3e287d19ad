"""Whatever a program may send as OTLP: it is answered, and every span is stored, or refused and counted."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import orjson
import pytest
from google.protobuf.message import DecodeError
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanflow.viewer_api.otlp.body import UnreadableBody
from spanflow.viewer_api.otlp.messages import TraceRequest, read_traces
from tests.support import fuzzing
from tests.support.otlp_client import PROTOBUF, START_NS, as_json, pairs
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_operations import numbers

JSON: Final = "application/json"
EXAMPLES = fuzzing.examples(60, 1500)
MOST_UNPACKED: Final = 256 * 1024

# -- requests ----------------------------------------------------------------------------------------------------------

#: Few, so that spans meet each other in flows and repeat each other.
trace_ids = st.sampled_from([b"t" * 16, b"u" * 16, b"\xff" * 16, b"\0" * 15 + b"\1"])
span_ids = st.sampled_from([b"s" * 8, b"p" * 8, b"\xff" * 8, b"\0" * 7 + b"\1"])
bad_ids = st.binary(max_size=20) | st.just(b"\0" * 16) | st.just(b"\0" * 8)
moments = st.sampled_from([0, 1, START_NS, START_NS + 10**9, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
numbers_32 = st.sampled_from([0, 1, 0x100, 0x301, 2**31, 2**32 - 1])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "\0", "\u202e", "x" * 9000, "tools/call", "password=hunter2", "{" * 500, "eyJ" * 900]
)
keys = texts | st.sampled_from(
    "user.id session.id service.name gen_ai.operation.name gen_ai.usage.input_tokens http.response.status_code "
    "flow.source flow.data.mcp mcp.tool.name gen_ai.input.messages spanflow.checkpoint".split()
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | texts
    | st.binary(max_size=20)
    | st.sampled_from([2**63 - 1, 1e308, "7", "NaN"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


attributes = st.dictionaries(keys, values | st.sampled_from([30, 45]).map(nested), max_size=4)
states = texts | st.sampled_from(["a=b", "a=b,c=d", "a=b,a=c", ",", "=" * 600, ",".join(f"k{n}=v" for n in range(40))])


def _span(bad: bool, ids: tuple[bytes, bytes], wrong: tuple[bytes, bytes], fields: Mapping[str, Any]) -> Span:
    made = Span(trace_id=ids[0], span_id=ids[1])
    if bad:
        made.trace_id, made.span_id = wrong
    made.parent_span_id = fields["parent"]
    made.name, made.trace_state, made.flags = fields["name"], fields["state"], fields["flags"]
    made.start_time_unix_nano, made.end_time_unix_nano = fields["start"], fields["end"]
    made.kind = fields["kind"]
    made.status.code, made.status.message = fields["code"], fields["message"]
    made.attributes.extend(pairs(fields["attributes"]))
    made.dropped_attributes_count = made.dropped_events_count = made.dropped_links_count = fields["dropped"]
    event, link = made.events.add(), made.links.add()
    event.name, event.time_unix_nano = fields["message"], fields["end"]
    event.attributes.extend(pairs(fields["attributes"]))
    link.trace_id, link.span_id = wrong
    link.trace_state, link.flags = fields["state"], fields["flags"]
    return made


enums = st.sampled_from([0, 1, 2, 3, 5, 6, 99, -1, 2**31 - 1])
spans = st.builds(
    _span,
    st.sampled_from([False, False, False, True]),
    st.tuples(trace_ids, span_ids),
    st.tuples(bad_ids | trace_ids, bad_ids | span_ids),
    st.fixed_dictionaries(
        {
            "parent": st.just(b"") | span_ids | bad_ids,
            "name": texts,
            "state": states,
            "flags": numbers_32,
            "start": moments,
            "end": moments,
            "kind": enums,
            "code": enums,
            "message": texts,
            "attributes": attributes,
            "dropped": numbers_32,
        }
    ),
)


def _request(groups: list[tuple[dict[str, Any], str, list[Span]]]) -> Any:
    message = ExportTraceServiceRequest()
    for resource, scope, members in groups:
        group = message.resource_spans.add(schema_url=scope)
        group.resource.attributes.extend(pairs(resource))
        scoped = group.scope_spans.add()
        scoped.scope.name = scoped.scope.version = scope
        scoped.scope.attributes.extend(pairs(resource))
        scoped.spans.extend(members)
    return message


requests = st.lists(st.tuples(attributes, texts, st.lists(spans, max_size=3)), max_size=2).map(_request)
ENCODINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZIP": gzip.compress,
    "br": bytes,
}


def damaged(body: bytes, how: str, place: float) -> bytes:
    at = int(place * len(body))
    return {
        "whole": body,
        "cut": body[:at],
        "twice": body + body,
        "flipped": body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :] if at < len(body) else body,
        "with more behind it": body + b"\x0a\xff\xff\xff\xff\x0f",
        "with zeros behind it": body + b"\0" * 100,
        "a bomb": body + b"\0" * 5_000_000,
        "deep": b'{"a":' * 3000 + body,
        "deep protobuf": b"\x0a\x02" * 2000 + body,
        "nothing": b"",
    }[how]


HOW: Final = (
    *("whole",) * 8,
    *("cut", "twice", "flipped", "with more behind it", "with zeros behind it", "a bomb", "deep", "deep protobuf"),
    "nothing",
)


class Tally:
    """What was sent, by what became of it as the client was told."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.accepted: list[tuple[str, str]] = []
        self.refused: Counter[str] = Counter()

    def send(self, body: bytes, content_type: str, encoding: str, packed: bytes) -> None:
        headers = {"Content-Type": content_type, **({"Content-Encoding": encoding} if encoding else {})}
        answer = self._client.post("/v1/traces", content=packed, headers=headers)
        assert answer.status_code in {200, 400, 413, 415}, (answer.status_code, answer.content[:300])
        if answer.status_code != 200:
            return
        read = self._read(body, content_type)
        if content_type == PROTOBUF:
            told = ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans
        else:
            told = int(answer.json().get("partialSuccess", {}).get("rejectedSpans", 0))
        assert told == read.invalid
        self.refused["invalid_id"] += told
        self.accepted += [(one.trace_id.hex(), one.span_id.hex()) for one in told_spans(read)]
        assert len(told_ids(read)) == read.spans

    @staticmethod
    def _read(body: bytes, content_type: str) -> TraceRequest:
        try:
            read = read_traces(body, content_type)
            if content_type == PROTOBUF:
                # By the protocol's own reader.
                whole = ExportTraceServiceRequest.FromString(body)
                sent = [one for group in whole.resource_spans for scope in group.scope_spans for one in scope.spans]
                assert len(sent) == read.spans + read.invalid
            return read
        except (UnreadableBody, DecodeError) as why:
            raise AssertionError("it was accepted and cannot be read") from why


def told_spans(read: TraceRequest) -> list[Span]:
    return [Span.FromString(one) for group in read.groups for scope in group.scope_spans for one in scope.spans]


def told_ids(read: TraceRequest) -> list[bytes]:
    return [one.span_id for one in told_spans(read)]


@EXAMPLES
def test_every_span_is_stored_or_refused_and_counted(
    make_viewer: MakeViewer,
    postgres_dsn: str,
    examples: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")
    viewer = make_viewer(viewer_otlp_unpacked_bytes=MOST_UNPACKED, viewer_requests_per_second=100_000.0)
    tally = Tally(viewer.http)

    def attack(message: Any, as_protobuf: bool, encoding: str, how: str, place: float) -> None:
        content_type = PROTOBUF if as_protobuf else JSON
        try:
            body = message.SerializeToString() if as_protobuf else as_json(message)
        except (RecursionError, ValueError):
            return
        body = damaged(body, how, place)
        tally.send(body, content_type, encoding, ENCODINGS[encoding](body))

    fuzzing.fuzz(
        examples,
        {
            "message": requests,
            "as_protobuf": st.booleans(),
            "encoding": st.sampled_from([*ENCODINGS, "", "gzip"]),
            "how": st.sampled_from(HOW),
            "place": st.floats(0, 1),
        },
        attack,
    )
    accounted(viewer, tally, postgres_dsn)
    assert [record.getMessage()[:200] for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    # Nor does anything that a client sends stand in the log.
    assert {record.name for record in caplog.records if record.name.startswith("opentelemetry")} == set()


def accounted(viewer: RunningViewer, tally: Tally, dsn: str) -> None:
    """Accepted, as the clients were told, is what is stored; and every other span has its reason."""

    def settled() -> dict[str, float]:
        found: dict[str, float] = {}
        for (name, labels), value in numbers(viewer).items():
            if name.startswith("otlp_"):
                found[f"{name}{dict(labels) or ''}"] = value
        return found

    def total(name: str) -> float:
        return sum(value for key, value in settled().items() if key.startswith(name))

    eventually(lambda: total("otlp_spans_waiting") == 0, within=30)
    assert total("otlp_spans_accepted_total") == len(tally.accepted)
    assert total("otlp_spans_encoded_total") == len(tally.accepted), "none is lost to a fault"
    assert total("otlp_spans_dropped_total") == 0
    counted = {key: value for key, value in settled().items() if key.startswith("otlp_spans_refused_total")}
    assert sum(counted.values()) == sum(tally.refused.values())
    wanted = set(tally.accepted)

    def stored() -> set[tuple[str, str]]:
        rows = query(dsn, "SELECT flow_id, flow_data::text AS document FROM omni2.interaction_flows")
        return {(row["flow_id"], event["node_id"]) for row in rows for event in orjson.loads(row["document"])["events"]}

    eventually(lambda: stored() == wanted, within=30)
    assert query(dsn, "SELECT count(*) AS n FROM omni2.poison_records") == [{"n": 0}]


def test_the_bodies_of_this_test_are_what_they_are_called() -> None:
    body = _request([({}, "s", [_span(False, (b"t" * 16, b"s" * 8), (b"", b""), FIELDS)])]).SerializeToString()
    assert len(damaged(body, "a bomb", 0)) > MOST_UNPACKED
    assert read_traces(damaged(body, "twice", 0), PROTOBUF).spans == 2
    for how in ("cut", "with more behind it", "deep"):
        with pytest.raises(UnreadableBody):
            read_traces(damaged(body, how, 0.5), PROTOBUF)
    assert json.loads(as_json(ExportTraceServiceRequest.FromString(body)))


FIELDS: Final[dict[str, Any]] = {
    **{"parent": b"", "name": "n", "state": "", "flags": 0, "start": 1, "end": 2, "kind": 1, "code": 0},
    **{"message": "", "attributes": {}, "dropped": 0},
}
