"""From spans to the stream of their flow, whole."""

import threading
import time
from typing import Any

import orjson
import redis
from inline_snapshot import snapshot
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, set_value
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.identity import Identity, with_identity
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually
from tests.support.traced_gateway import NOON, TracedGateway, flow_id_of, phases_of, stream_of


def test_a_request_is_in_its_stream_while_it_runs(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask", kind=SpanKind.SERVER, attributes={"http.route": "/ask"})
        with gateway.span("auth_check", root, attributes={"flow.data.method": "bearer"}):
            pass
        thinking = gateway.start("llm_thinking", root)
        flow_id = flow_id_of(root)
        eventually(lambda: len(phases_of(redis_client, flow_id)) == 4)
        thinking.set_attribute("gen_ai.usage.input_tokens", 12)
        gateway.end(thinking)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id) == snapshot(
            [
                {
                    "node_id": "0000000000000001",
                    "phase": "start",
                    "parent_id": None,
                    "start_ns": "1767614400001000000",
                    "event_type": "span",
                    "name": "POST /ask",
                    "kind": "server",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                    "attributes": {"http.route": "/ask"},
                },
                {
                    "node_id": "0000000000000002",
                    "phase": "start",
                    "parent_id": "0000000000000001",
                    "start_ns": "1767614400002000000",
                    "event_type": "auth_check",
                    "name": "auth_check",
                    "kind": "internal",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                    "attributes": {"flow.data.method": "bearer"},
                },
                {
                    "node_id": "0000000000000002",
                    "phase": "end",
                    "end_ns": "1767614400003000000",
                    "status": "unset",
                    "outcome": "ok",
                },
                {
                    "node_id": "0000000000000003",
                    "phase": "start",
                    "parent_id": "0000000000000001",
                    "start_ns": "1767614400004000000",
                    "event_type": "llm_thinking",
                    "name": "llm_thinking",
                    "kind": "internal",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                },
                {
                    "node_id": "0000000000000003",
                    "phase": "end",
                    "end_ns": "1767614400005000000",
                    "status": "unset",
                    "outcome": "ok",
                    "attributes": {"gen_ai.usage.input_tokens": 12},
                },
                {"node_id": "0000000000000001", "phase": "end", "end_ns": "1767614400006000000", "status": "unset"},
            ]
        )


def test_what_is_unusual_about_a_span_is_told_too(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET") as other:
            pass
        root = gateway.start(
            "GET", links=[Link(other.get_span_context(), {"why": "retry"})], attributes={"a": 1, "b": 2}
        )
        root.update_name("GET /users/{id}")
        root.set_attribute("b", 3)
        root.set_attribute("n", 2**60)
        root.add_event("exception", {"exception.message": "password=hunter2"}, timestamp=NOON)
        root.set_status(Status(StatusCode.ERROR, "ValueError: no"))
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id_of(root)) == snapshot(
            [
                {
                    "node_id": "0000000000000002",
                    "phase": "start",
                    "parent_id": None,
                    "event_type": "span",
                    "name": "GET",
                    "kind": "internal",
                    "start_ns": "1767614400003000000",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                    "attributes": {"a": 1, "b": 2},
                    "links": [
                        {
                            "trace_id": "00000000000000000000000000000001",
                            "span_id": "0000000000000001",
                            "flags": 1,
                            "attributes": {"why": "retry"},
                        }
                    ],
                },
                {
                    "node_id": "0000000000000002",
                    "phase": "end",
                    "end_ns": "1767614400004000000",
                    "status": "error",
                    "name": "GET /users/{id}",
                    "status_message": "ValueError: no",
                    "attributes": {"b": 3, "n": "1152921504606846976"},
                    "types": {"n": "int"},
                    "logs": [
                        {
                            "name": "exception",
                            "time_ns": "1767614400000000000",
                            "attributes": {"exception.message": "password=[redacted]"},
                        }
                    ],
                },
            ]
        )


def test_identity_that_comes_late_reaches_the_root_and_the_indexes(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        trace_id = root.get_span_context().trace_id
        gateway.pipeline.identify(trace_id, Identity(user_id="7", session_id="s1"))
        assert gateway.pipeline.force_flush(5)
        gateway.pipeline.identify(trace_id, Identity(conversation_id="c1"))
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        events = stream_of(redis_client, flow_id_of(root))
        assert [(event["phase"], event.get("attributes")) for event in events] == snapshot(
            [
                ("start", None),
                ("update", {"user.id": "7", "session.id": "s1", "flow.session_id": "s1"}),
                (
                    "update",
                    {"user.id": "7", "session.id": "c1", "gen_ai.conversation.id": "c1", "flow.session_id": "s1"},
                ),
                ("end", {"user.id": "7", "session.id": "c1", "gen_ai.conversation.id": "c1", "flow.session_id": "s1"}),
            ]
        )
        assert redis_client.zrange(names.user_flows("7"), 0, -1, withscores=True) == snapshot(
            [(b"00000000000000000000000000000001", 1767614400.001)]
        )
        for index in (names.session_flows("s1"), names.conversation_flows("c1")):
            assert redis_client.zrange(index, 0, -1) == snapshot([b"00000000000000000000000000000001"])


def test_identity_in_the_context_is_on_the_root_from_the_start(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        whose = with_identity(Identity(user_id="7", email="neo@matrix.com", source="web"), Context())
        with gateway.span("POST /ask", context=whose) as root:
            pass
        assert gateway.pipeline.force_flush(5)
        assert [event.get("attributes") for event in stream_of(redis_client, flow_id_of(root))] == snapshot(
            [{"user.id": "7", "user.email": "neo@matrix.com", "flow.source": "web"}, None]
        )


def test_the_user_survives_the_limit_of_attributes(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
            for number in range(200):
                root.set_attribute(f"key{number}", number)
        assert gateway.pipeline.force_flush(5)
        reducer = FlowReducer(decode_all(redis_client, flow_id_of(root)))
        (entry,) = reducer.entries()
        assert entry["attributes"]["user.id"] == "7"
        assert entry["cut"] == {"attributes": 73}


def test_an_update_tells_what_changed_and_the_end_does_not_need_it(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("GET", attributes={"a": 1})
        assert gateway.pipeline.force_flush(5)
        root.set_attribute("b", 2)
        root.update_name("GET /ask")
        gateway.pipeline.span_updated(root)
        gateway.pipeline.span_updated(root)
        assert gateway.pipeline.force_flush(5)
        gateway.pipeline.span_updated(root)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id_of(root)) == snapshot(
            [
                {
                    "node_id": "0000000000000001",
                    "phase": "start",
                    "parent_id": None,
                    "start_ns": "1767614400001000000",
                    "event_type": "span",
                    "name": "GET",
                    "kind": "internal",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                    "attributes": {"a": 1},
                },
                {
                    "node_id": "0000000000000001",
                    "phase": "update",
                    "attributes": {"b": 2},
                    "name": "GET /ask",
                },
                {
                    "node_id": "0000000000000001",
                    "phase": "end",
                    "end_ns": "1767614400002000000",
                    "status": "unset",
                    "attributes": {"b": 2},
                    "name": "GET /ask",
                },
            ]
        )


def test_an_end_whose_start_was_never_seen_says_everything(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask") as root:
            pass
        gateway.pipeline.force_flush(5)
        redis_client.flushall()
        span = root._readable_span()  # type: ignore[attr-defined]
        gateway.processor.on_end(span)
        assert gateway.pipeline.force_flush(5)
        assert stream_of(redis_client, flow_id_of(root)) == snapshot(
            [
                {
                    "node_id": "0000000000000001",
                    "phase": "end",
                    "parent_id": None,
                    "event_type": "span",
                    "name": "POST /ask",
                    "kind": "internal",
                    "start_ns": "1767614400001000000",
                    "flags": 1,
                    "scope": "gateway.code@1.2",
                    "end_ns": "1767614400002000000",
                    "status": "unset",
                }
            ]
        )


def test_nothing_is_traced_where_instrumentation_is_suppressed(redis_url: str) -> None:
    with TracedGateway(redis_url) as gateway:
        token = context.attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with gateway.span("own"):
                pass
        finally:
            context.detach(token)
        assert gateway.pipeline.force_flush(5)
        assert gateway.pipeline.counters.intake.accepted == 0


def test_a_span_that_has_begun_is_ended_also_where_instrumentation_is_suppressed(redis_url: str) -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        token = context.attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            own = gateway.start("own", root)
            gateway.end(root)
        finally:
            context.detach(token)
        gateway.end(own)
        assert gateway.pipeline.force_flush(5)
        assert gateway.pipeline.counters.open_flows == 0
        assert gateway.pipeline.counters.intake.accepted == 2


def test_no_thread_and_no_connection_before_the_first_span(redis_url: str) -> None:
    before = set(threading.enumerate())
    with TracedGateway(redis_url) as gateway:
        assert gateway.pipeline.force_flush(0.1)
        assert set(threading.enumerate()) == before
        with gateway.span("first"):
            pass
        started = {thread.name for thread in set(threading.enumerate()) - before}
        assert started >= {"spanflow-encoder", "spanflow-watched"}
        assert all(thread.daemon for thread in set(threading.enumerate()) - before)


def test_a_flow_leaves_the_open_index_when_it_is_complete(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, flow_grace=0.1) as gateway:
        root = gateway.start("POST /ask")
        key = names.flow_stream(flow_id_of(root))
        eventually(lambda: redis_client.zscore(names.OPEN_FLOWS, flow_id_of(root)))
        assert 86_000 < redis_client.ttl(key) <= 86_400
        gateway.end(root)
        eventually(lambda: redis_client.zscore(names.OPEN_FLOWS, flow_id_of(root)) is None)
        eventually(lambda: 0 < redis_client.ttl(key) <= 3600)


def test_this_process_is_known_in_redis_and_says_goodbye(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask"):
            pass
        assert gateway.pipeline.force_flush(5)
        instance = gateway.pipeline.instance_id
        assert 0 < redis_client.ttl(names.process_heartbeat(instance)) <= 20
        about: Any = redis_client.get(names.process_description(instance))
        assert orjson.loads(about) == snapshot(
            {
                "content": "off",
                "resource": {"attributes": {"service.name": "gateway"}},
                "scopes": {"gateway.code@1.2": {"name": "gateway.code", "version": "1.2"}},
            }
        )
    assert redis_client.get(names.process_heartbeat(instance)) is None
    assert redis_client.get(names.process_description(instance)) is not None


def test_flush_and_shutdown_keep_their_budget_while_redis_is_silent(proxy: Any, redis_url: str) -> None:
    line = proxy(redis_url)
    line.half_open()
    gateway = TracedGateway(line.url)
    with gateway.span("POST /ask"):
        pass
    begun = time.monotonic()
    assert gateway.pipeline.force_flush(0.3) is False
    assert time.monotonic() - begun < 0.8
    begun = time.monotonic()
    assert gateway.pipeline.shutdown(0.5) is False
    assert time.monotonic() - begun < 1.2
    line.restore()
    eventually(lambda: gateway.counts().waiting == 0)
    assert gateway.counts().balanced


def test_after_shutdown_spans_are_counted_and_nothing_else_happens(redis_url: str) -> None:
    gateway = TracedGateway(redis_url)
    with gateway.span("before"):
        pass
    assert gateway.pipeline.shutdown(5)
    assert gateway.pipeline.shutdown(5)
    with gateway.span("after"):
        pass
    counts = gateway.pipeline.counters.intake
    assert (counts.accepted, counts.delivered, counts.dropped) == snapshot((4, 2, {"shutdown": 1, "start_dropped": 1}))
    assert counts.balanced


def decode_all(client: "redis.Redis", flow_id: str) -> list[Any]:
    entries: Any = client.xrange(names.flow_stream(flow_id))
    return [decode(entry[b"e"]) for _, entry in entries]
