"""A span that starts and ends within one busy batch is one event instead of two, and nobody can tell afterwards."""

from collections import Counter
from typing import Any

import orjson
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from spanflow.span_processors import names
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.event.event import Event, decode
from spanflow.span_processors.identity import NOBODY, Identity, with_identity
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror_items import Notification, StreamEntry
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_in_place, attributes_of
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.traced_gateway import TracedGateway, flow_id_of, phases_of, stream_of

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test", "1")
REDACTOR = Redactor(RedactionPolicy())
PROCESS = ProcessInfo(REDACTOR)


def new_encoder() -> Encoder:
    return Encoder(Settings(), process=PROCESS, watched=NoWatchedUsers(), redactor=REDACTOR)


def told_by(encoder: Encoder) -> tuple[list[Event], list[Event]]:
    """What the stream and what the archive say of the one flow, span by span."""
    encoder.complete_all()
    (part,) = encoder.parts
    in_stream = [decode(item.data) for item in encoder.events if isinstance(item, StreamEntry)]
    return FlowReducer(in_stream).entries(), FlowReducer(decode(data) for data in part.entries).entries()


keys = st.sampled_from(["a", "b", "flow.data.tool", "flow.outcome", "flow.checkpoint.type", "user.id", "http.cookie"])
values = st.one_of(
    st.sampled_from(["ok", "denied", "tool_call", "llm_thinking", "a\x00b", "\ud800", "password=hunter2"]),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=2),
    st.lists(st.integers(0, 9), max_size=2),
)
attributes = st.dictionaries(keys, values, max_size=4)


@settings(deadline=None, max_examples=200)
@given(
    name=st.sampled_from(["auth_check", "llm_thinking", "GET", "Bearer abcdefghijklmnop"]),
    at_start=attributes,
    later=attributes,
    extras=st.sets(st.sampled_from(["renamed", "logged", "linked", "said why"]), max_size=1),
    status=st.sampled_from(list(StatusCode)),
    identity=st.sampled_from([NOBODY, Identity(user_id="7", email="ada@example.com")]),
    begins_flow=st.booleans(),
)
def test_one_event_says_the_same_as_two(
    name: str,
    at_start: dict[str, Any],
    later: dict[str, Any],
    extras: set[str],
    status: StatusCode,
    identity: Identity,
    begins_flow: bool,
) -> None:
    root: Any = TRACER.start_span("POST /ask", Context())
    context = Context() if begins_flow else set_span_in_context(root, Context())
    span: Any = TRACER.start_span(name, context, attributes=at_start)
    before = attributes_of(span)
    span.set_attributes(later)
    if "renamed" in extras:
        span.update_name("renamed")
    if "logged" in extras:
        span.add_event("log", {"n": 1})
    if "linked" in extras:
        span.add_link(root.context)
    span.set_status(Status(status, "why" if "said why" in extras and status is StatusCode.ERROR else None))
    span.end()
    ended = span._readable_span()

    in_two, in_one = new_encoder(), new_encoder()
    for encoder in (in_two, in_one):
        if not begins_flow:
            encoder.started(root, root.name, attributes_of(root), identity, 0.0)
    defer_start = in_one.defer_start(span, name, before, identity, 0.0)
    if defer_start is None or not in_one.encode_complete(ended, span.context, defer_start, name, before, identity, 0.0):
        # Something about it is unusual, and nothing of it has been told yet.
        in_one.started(span, name, before, identity, 0.0)
        in_one.ended(ended, attributes_in_place(ended), 0.0)
    in_two.started(span, name, before, identity, 0.0)
    in_two.ended(ended, attributes_of(ended), 0.0)

    assert told_by(in_one) == told_by(in_two)


def test_a_root_that_learns_whose_it_is_after_its_start_is_one_event_as_well() -> None:
    """As gateways call `identify`: it tells the pipeline, and the span that is open."""
    known = Identity(user_id="7", session_id="s-1")
    root: Any = TRACER.start_span("POST /ask", Context(), attributes={"http.route": "/ask"})
    before, trace_id = attributes_of(root), root.context.trace_id
    root.set_attributes({names.ATTR_USER_ID: "7", names.ATTR_FLOW_SESSION_ID: "s-1", names.ATTR_SESSION_ID: "s-1"})
    root.end()
    ended = root._readable_span()
    in_two, in_one = new_encoder(), new_encoder()
    defer_start = in_one.defer_start(root, root.name, before, NOBODY, 0.0)
    assert defer_start is not None
    in_two.started(root, root.name, before, NOBODY, 0.0)
    for encoder in (in_one, in_two):
        encoder.identify(trace_id, known, 1, 0.0)
    assert in_one.encode_complete(ended, root.context, defer_start, root.name, before, NOBODY, 0.0)
    in_two.ended(ended, attributes_of(ended), 0.0)
    shown: list[Any] = [told_by(encoder)[1] for encoder in (in_one, in_two)]
    assert shown[0][0]["attributes"] == shown[1][0]["attributes"]
    assert [(len(flow), flow[0]["phase"]) for flow in shown] == [(1, "end")] * 2


def test_under_load_short_checkpoints_are_one_event_each(redis_url: str, redis_client: "redis.Redis") -> None:
    # All of it is made while the encoder still waits for more: one batch.
    with TracedGateway(redis_url, batch_interval=2.0) as gateway:
        flows = []
        for _ in range(12):
            with gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
                with gateway.span("auth_check", root, attributes={"flow.data.method": "bearer"}):
                    pass
                with gateway.span("llm_thinking", root) as thinking:
                    with gateway.span("tool_call", thinking) as call:
                        call.set_attribute("flow.data.rows", 3)
            flows.append(flow_id_of(root))
        assert gateway.pipeline.force_flush(10)
        assert phases_of(redis_client, flows[0]) == snapshot([("2", "end"), ("4", "end"), ("3", "end"), ("1", "end")])
        assert stream_of(redis_client, flows[0])[0] == snapshot(
            {
                "node_id": "0000000000000002",
                "parent_id": "0000000000000001",
                "start_ns": "1767614400002000000",
                "event_type": "auth_check",
                "name": "auth_check",
                "kind": "internal",
                "flags": 1,
                "scope": "gateway.code@1.2",
                "attributes": {"flow.data.method": "bearer"},
                "phase": "end",
                "end_ns": "1767614400003000000",
                "status": "unset",
                "outcome": "ok",
                "late": ["end_ns", "outcome", "status"],
            }
        )
        for flow_id in flows:
            assert Counter(phase for _, phase in phases_of(redis_client, flow_id)) == {"end": 4}
            assert redis_client.zscore(names.user_flows("7"), flow_id) is not None
        counts = gateway.pipeline.counters.intake
        assert (counts.accepted, counts.delivered) == (96, 96)


class Watching:
    """Everybody is watched from a certain moment on."""

    version = 0

    def any_watched(self) -> bool:
        return bool(self.version)

    def is_watched(self, user_id: str) -> bool:
        return bool(self.version)

    def is_metadata_only(self, user_id: str) -> bool:
        return False


def test_dashboards_hear_of_short_checkpoints_in_the_order_in_which_they_would_have() -> None:
    watching = Watching()
    encoder = Encoder(Settings(), process=PROCESS, watched=watching, redactor=REDACTOR)
    root: Any = TRACER.start_span("POST /ask", Context(), attributes={"user.id": "7"})
    encoder.started(root, root.name, attributes_of(root), NOBODY, 0.0)
    waiting: list[tuple[Any, ...]] = []

    def begin(name: str, parent: Any) -> Any:
        span: Any = TRACER.start_span(name, set_span_in_context(parent, Context()))
        defer_start = encoder.defer_start(span, name, attributes_of(span), NOBODY, 0.0)
        assert defer_start is not None
        waiting.append((span, defer_start, attributes_of(span)))
        return span

    def end(span: Any) -> None:
        (found,) = [one for one in waiting if one[0] is span]
        span.end()
        ended = span._readable_span()
        assert encoder.encode_complete(ended, span.context, found[1], span.name, found[2], NOBODY, 0.0)

    end(begin("auth_check", root))
    thinking = begin("llm_thinking", root)
    end(begin("tool_call", thinking))
    end(begin("tool_call", thinking))
    end(thinking)
    end(begin("llm_complete", root))
    watching.version = 1
    encoder.ring()
    (ring,) = [item for item in encoder.events if isinstance(item, Notification)]
    assert [orjson.loads(message)["event_type"] for message in ring.messages] == snapshot(
        ["auth_check", "llm_thinking", "tool_call", "tool_call", "llm_complete"]
    )
    # From now on somebody hears of it when it starts.
    again: Any = TRACER.start_span("llm_thinking", set_span_in_context(root, Context()))
    assert encoder.defer_start(again, "llm_thinking", {}, NOBODY, 0.0) is None


def test_few_events_are_told_one_by_one(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, batch_interval=0.2) as gateway:
        with gateway.span("POST /ask") as root:
            with gateway.span("auth_check", root):
                pass
        assert gateway.pipeline.force_flush(10)
        assert phases_of(redis_client, flow_id_of(root)) == [
            ("1", names.START),
            ("2", names.START),
            ("2", names.END),
            ("1", names.END),
        ]


def test_flows_whose_spans_have_the_same_ids_stay_apart(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, batch_interval=2.0) as gateway:
        contexts = {user: with_identity(Identity(user_id=user), Context()) for user in ("7", "8")}
        roots = {user: gateway.start("POST /ask", context=context) for user, context in contexts.items()}
        ids: Any = gateway.provider.id_generator
        ids.generate_span_id = lambda: 77
        same = [gateway.start("auth_check", roots[user], context=contexts[user]) for user in roots]
        del ids.generate_span_id
        for span in reversed(same):
            gateway.end(span)
        for _ in range(40):
            with gateway.span("something else"):
                pass
        for root in roots.values():
            gateway.end(root)
        assert gateway.pipeline.force_flush(10)
        for user, root in roots.items():
            assert redis_client.zrange(names.user_flows(user), 0, -1) == [flow_id_of(root).encode()]
            entries = FlowReducer(stream_of(redis_client, flow_id_of(root))).entries()
            assert sorted(entry["name"] for entry in entries) == ["POST /ask", "auth_check"]
            assert all(entry["phase"] == names.END for entry in entries)
        assert gateway.pipeline.counters.intake.balanced
