"""Open flows: when they are complete, what the archive gets then, and what happens to what comes later."""

from itertools import count
from typing import Any

from inline_snapshot import snapshot
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, set_span_in_context

from spanflow.span_processors import flow_part
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redis.mirror_items import Notification, StreamEntry
from spanflow.span_processors.redis.watched import NoWatchedUsers, Watched
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of
from tests.support.traced_gateway import MS, NOON, CountedIds


class WatchedFromNowOn(NoWatchedUsers):
    """No user is watched until `begin` is called, and then all are."""

    def begin(self) -> None:
        self.version += 1

    def any_watched(self) -> bool:
        return self.version > 0

    def is_watched(self, user_id: str) -> bool:
        return self.version > 0


class Desk:
    """An encoder whose time and spans the test makes."""

    def __init__(self, watched: Watched | None = None, **settings: Any) -> None:
        redactor = Redactor()
        given = {"flow_grace": 2.0, "flow_idle": 100.0, "flow_max_age": 1000.0}
        self.encoder = Encoder(
            Settings(**{**given, **settings}),
            process=ProcessInfo(redactor),
            watched=watched or NoWatchedUsers(),
            redactor=redactor,
        )
        provider = TracerProvider(shutdown_on_exit=False, id_generator=CountedIds())
        self.tracer = provider.get_tracer("gateway.code")
        self.now = 0.0
        self._moments = count(NOON, MS)

    def start(self, name: str, parent: Span | None = None, identity: Identity = NOBODY, **attributes: Any) -> Any:
        context = set_span_in_context(parent, Context()) if parent else Context()
        span: Any = self.tracer.start_span(name, context, attributes=attributes, start_time=next(self._moments))
        self.encoder.started(span, span.name, attributes_of(span), identity, self.now)
        return span

    def end(self, span: Any) -> None:
        span.end(next(self._moments))
        ended = span._readable_span()
        self.encoder.ended(ended, attributes_of(ended), self.now)

    def after(self, seconds: float) -> list[FlowPart]:
        """What is handed over because so much time has passed."""
        self.now += seconds
        self.encoder.complete(self.now)
        parts, self.encoder.parts = self.encoder.parts, []
        return parts


def spans_in(part: FlowPart) -> list[tuple[str, str]]:
    return [(entry["name"], entry["phase"]) for entry in map(decode, part.entries)]


def test_a_flow_is_complete_when_its_root_has_ended_nothing_is_open_and_the_grace_is_over() -> None:
    desk = Desk()
    root = desk.start("POST /ask", identity=Identity(user_id="7"))
    task = desk.start("background task", root)
    desk.end(root)
    assert desk.after(10) == []
    desk.end(task)
    assert desk.after(1.9) == []
    later = desk.start("yield dependency", root)
    desk.end(later)
    assert desk.after(1.9) == []
    (part,) = desk.after(0.2)
    assert spans_in(part) == [("POST /ask", "end"), ("background task", "end"), ("yield dependency", "end")]
    assert (part.reason, part.root_ended, part.identity) == (flow_part.ROOT_ENDED, True, Identity(user_id="7"))
    assert (part.started_ns, part.ended_ns) == (NOON, NOON + 5 * MS)
    assert len(desk.encoder) == 0 and desk.encoder.open_bytes == 0


def test_a_span_after_that_makes_a_further_part_that_knows_whose_it_is() -> None:
    desk = Desk()
    root = desk.start("POST /ask", identity=Identity(user_id="7"))
    desk.end(root)
    desk.after(3)
    late = desk.start("create_task", root)
    assert desk.after(3) == []
    desk.end(late)
    (part,) = desk.after(3)
    assert (spans_in(part), part.identity) == ([("create_task", "end")], Identity(user_id="7"))
    assert part.root_ended


def test_a_quiet_flow_is_handed_over_as_it_is_and_its_end_follows() -> None:
    desk = Desk()
    root = desk.start("POST /ask")
    thinking = desk.start("llm_thinking", root)
    assert desk.after(99) == []
    (part,) = desk.after(10)
    assert (part.reason, part.root_ended) == (flow_part.IDLE, False)
    assert spans_in(part) == [("POST /ask", "start"), ("llm_thinking", "start")]
    desk.end(thinking)
    desk.end(root)
    (rest,) = desk.after(3)
    assert spans_in(rest) == [("llm_thinking", "end"), ("POST /ask", "end")]
    assert rest.root_ended


def test_a_span_that_is_open_for_25_hours_does_not_hold_its_flow() -> None:
    desk = Desk(flow_idle=1e6, flow_max_age=24 * 3600.0)
    root = desk.start("WS /chat")
    for _ in range(25):
        with_news = desk.start("turn", root)
        desk.end(with_news)
        parts = desk.after(3600)
        if parts:
            break
    (part,) = parts
    assert (part.reason, len(part.entries)) == (flow_part.MAX_AGE, 25)


def test_the_caller_may_end_a_flow_that_has_no_root_here() -> None:
    desk = Desk()
    remote = NonRecordingSpan(SpanContext(99, 5, is_remote=False, trace_flags=TraceFlags(1)))
    step = desk.start("tool_call", remote)
    open_step = desk.start("tool_call", remote)
    desk.end(step)
    desk.encoder.end_flow(99, desk.now)
    (part,) = desk.after(0)
    assert (part.reason, part.root_ended, len(part.entries)) == (flow_part.ENDED_BY_CALLER, True, 2)
    desk.end(open_step)
    assert len(desk.after(3)) == 1


def test_a_remote_parent_makes_a_local_root() -> None:
    desk = Desk()
    remote = NonRecordingSpan(SpanContext(99, 5, is_remote=True, trace_flags=TraceFlags(1)))
    desk.end(desk.start("tools/call", remote))
    (part,) = desk.after(3)
    assert (part.flow_id, part.reason) == (f"{99:032x}", flow_part.ROOT_ENDED)


def test_spans_whose_root_was_never_seen_are_not_waited_for_for_long() -> None:
    desk = Desk()
    unseen = NonRecordingSpan(SpanContext(99, 5, is_remote=False, trace_flags=TraceFlags(1)))
    desk.end(desk.start("auth_check", unseen))
    (part,) = desk.after(3)
    assert not part.root_ended


def test_limits_of_one_flow_cut_spans_and_say_how_many() -> None:
    desk = Desk(max_flow_spans=10)
    root = desk.start("POST /ask")
    for _ in range(20):
        desk.end(desk.start("tool_call", root))
    desk.end(root)
    (part,) = desk.after(3)
    assert (len(part.entries), part.cut_spans) == (10, 11)
    assert part.cut_bytes > 0
    events = [item for item in desk.encoder.events if isinstance(item, StreamEntry)]
    assert len(events) == 42
    assert desk.encoder.open_bytes == 0


def test_too_many_open_flows_push_out_the_quietest() -> None:
    desk = Desk(open_flows=10)
    roots = []
    for _ in range(12):
        desk.now += 1
        roots.append(desk.start("POST /ask"))
    parts = desk.after(0)
    assert [int(part.flow_id, 16) for part in parts] == [1, 2, 3]
    assert {part.reason for part in parts} == {flow_part.PRESSURE}
    assert len(desk.encoder) == 9


def test_activities_travel_with_their_flow_and_tell_whose_it_is() -> None:
    desk = Desk()
    root = desk.start("POST /ask")
    activity = Activity("user_message", NOON, {"message": "status?"}, conversation_id="c1", user_id="7")
    desk.encoder.activity(root.context.trace_id, activity, desk.now)
    desk.end(root)
    (part,) = desk.after(3)
    assert [Activity.from_bytes(data).data for data in part.activities] == [{"message": "status?"}]
    assert part.identity == Identity(user_id="7", conversation_id="c1")


def test_an_activity_outside_any_span_is_not_forgotten() -> None:
    desk = Desk()
    desk.encoder.activity(77, Activity("user_message", NOON, {"message": "hi"}), desk.now)
    (part,) = desk.after(3)
    assert (part.entries, len(part.activities)) == ((), 1)


def test_secrets_are_counted_on_the_flow() -> None:
    desk = Desk()
    root = desk.start("POST /ask", password="hunter2", note="token=abcdefgh12345678")
    root.set_attribute("api_key", "k")
    desk.end(root)
    (part,) = desk.after(3)
    assert part.redacted == 3
    assert decode(part.entries[0])["attributes"] == snapshot(
        {"password": "[redacted]", "note": "token=[redacted]", "api_key": "[redacted]"}
    )


def test_the_process_is_described_once_in_the_part() -> None:
    desk = Desk()
    desk.end(desk.start("POST /ask"))
    (part,) = desk.after(3)
    assert part.process.startswith(b'{"content":"off","resource":')
    assert b'"scopes":{"gateway.code":{"name":"gateway.code"}}' in part.process


def test_a_flow_that_is_over_before_the_encoder_has_noticed_the_watch_is_still_told() -> None:
    """The set of watched users changes on another thread: a whole flow may come and go between two looks at it."""
    watched = WatchedFromNowOn()
    desk = Desk(watched)
    desk.encoder.ring()
    watched.begin()
    root = desk.start("POST /ask", identity=Identity(user_id="7"))
    desk.end(desk.start("tool_call", root))
    desk.end(root)
    desk.encoder.complete_finished()
    desk.encoder.ring()
    told = [item for item in desk.encoder.events if isinstance(item, Notification)]
    assert [(each.user_id, each.flow_id, len(each.messages)) for each in told] == [("7", f"{1:032x}", 1)]
