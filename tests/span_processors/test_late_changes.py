"""Running spans that change without a word: viewers see it while they run, and the archive has what viewers saw."""

from collections.abc import Callable
from itertools import count
from typing import Any

import redis
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, set_span_in_context

from spanflow.span_processors import names
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.mapping import SpanMapping
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.event.event import Event, decode
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redis.mirror_items import UPDATE, StreamEntry
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually
from tests.support.traced_gateway import MS, NOON, CountedIds, TracedGateway, flow_id_of, stream_of


def told(client: "redis.Redis", span: Span) -> dict[str, Any]:
    """What the stream has of a span: its name, type and attributes."""
    reducer = FlowReducer()
    entries: Any = client.xrange(names.flow_stream(flow_id_of(span)))
    for _, entry in entries:
        reducer.add(decode(entry[names.STREAM_FIELD.encode()]))
    node_id = f"{span.get_span_context().span_id:016x}"
    known: Any = next((one for one in reducer.entries() if one["node_id"] == node_id), {})
    return {key: known.get(key) for key in ("phase", "name", "event_type", "attributes")}


def test_a_running_span_that_turns_out_to_call_a_model_is_one_for_viewers_at_once(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        call = gateway.start("call", root)
        eventually(lambda: told(redis_client, call)["name"] == "call")
        assert told(redis_client, call)["event_type"] == "span"
        call.set_attribute("gen_ai.operation.name", "chat")
        call.set_attribute("gen_ai.response.status", "queued")
        call.update_name("chat gpt-5")
        shown = {"gen_ai.operation.name": "chat", "gen_ai.response.status": "queued"}
        as_a_call = {"phase": "update", "name": "chat gpt-5", "event_type": "llm_thinking", "attributes": shown}
        eventually(lambda: told(redis_client, call) == as_a_call)
        call.set_attribute("gen_ai.response.status", "in_progress")
        eventually(lambda: told(redis_client, call)["attributes"]["gen_ai.response.status"] == "in_progress")
        gateway.end(call)
        gateway.end(root)


def test_contents_that_are_set_late_are_hidden_as_well(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        call = gateway.start("call")
        eventually(lambda: stream_of(redis_client, flow_id_of(call)))
        call.set_attribute("gen_ai.operation.name", "chat")
        call.set_attribute("authorization", "Bearer abcdefghijklmnop")
        eventually(lambda: told(redis_client, call)["event_type"] == "llm_thinking")
        assert told(redis_client, call)["attributes"]["authorization"] == "[redacted]"
        gateway.end(call)


class Running:
    """An encoder with spans that the test changes behind its back."""

    def __init__(self) -> None:
        redactor = Redactor()
        self.encoder = Encoder(
            Settings(flow_idle=100.0),
            process=ProcessInfo(redactor),
            watched=NoWatchedUsers(),
            redactor=redactor,
            classifier=SpanMapping(),
        )
        provider = TracerProvider(shutdown_on_exit=False, id_generator=CountedIds())
        self._tracer = provider.get_tracer("library")
        self._moments = count(NOON, MS)
        self.now = 0.0

    def start(self, name: str, parent: Span | None = None) -> Any:
        context = set_span_in_context(parent, Context()) if parent else Context()
        span: Any = self._tracer.start_span(name, context, start_time=next(self._moments))
        self.encoder.started(span, name, attributes_of(span), NOBODY, self.now)
        return span

    def end(self, span: Any) -> None:
        span.end(next(self._moments))
        ended = span._readable_span()
        self.encoder.ended(ended, attributes_of(ended), self.now)

    def look(self, seconds: float = 1.0) -> int:
        """Time goes by; how many spans have changed since the last look."""
        self.now += seconds
        changed = list(self.encoder.late_changes.spans(self.now))
        for span in changed:
            self.encoder.updated(span, span.name, attributes_of(span), next(self._moments), self.now)
        return len(changed)

    def streamed(self) -> list[Event]:
        return [decode(item.data) for item in self.encoder.events if isinstance(item, StreamEntry)]

    def archived(self, seconds: float) -> list[Event]:
        self.now += seconds
        self.encoder.complete(self.now)
        return [decode(entry) for part in self.encoder.parts for entry in part.entries]


def entries_of(events: list[Event]) -> list[dict[str, Any]]:
    reducer = FlowReducer()
    for event in events:
        reducer.add(event)
    return [{key: entry[key] for key in entry if key not in ("v", "flow_id")} for entry in reducer.entries()]  # type: ignore[literal-required]


def test_each_change_is_told_once_and_an_ended_span_never() -> None:
    running = Running()
    root = running.start("POST /ask")
    call = running.start("call", root)
    assert running.look() == 0
    call.set_attribute("gen_ai.operation.name", "chat")
    assert (running.look(), running.look()) == (1, 0)
    call.set_attribute("gen_ai.response.status", "queued")
    running.end(call)
    assert running.look() == 0


def test_what_identify_puts_on_all_open_spans_is_not_told_of_each() -> None:
    running = Running()
    root = running.start("POST /ask")
    for span in (root, *(running.start("step", root) for _ in range(3))):
        span.set_attributes({"user.id": "7", "session.id": "s", "flow.session_id": "s"})
    running.encoder.identify(root.context.trace_id, Identity(user_id="7", session_id="s"), NOON, running.now)
    assert running.look() == 0
    updates = [item for item in running.encoder.events if isinstance(item, StreamEntry) and item.kind == UPDATE]
    assert len(updates) == 1


def test_many_open_spans_are_compared_a_few_at_a_time() -> None:
    running = Running()
    roots = [running.start(f"POST /{number}") for number in range(1500)]
    for root in roots:
        root.set_attribute("flow.data.step", 1)
    first, second = running.look(), running.look(0.02)
    assert (first, second) == (1000, 500)


def test_an_unfinished_flow_is_archived_as_viewers_saw_it() -> None:
    running = Running()
    root = running.start("POST /ask")
    call = running.start("call", root)
    call.set_attribute("gen_ai.operation.name", "chat")
    running.look()
    archived = running.archived(200)
    assert [entry["event_type"] for entry in archived] == ["span", "llm_thinking"]
    assert entries_of(archived) == entries_of(running.streamed())


steps = st.lists(
    st.one_of(
        st.sampled_from(["start", "end", "look", "rename"]),
        st.tuples(
            st.sampled_from(["gen_ai.operation.name", "gen_ai.response.status", "user.id", "x"]),
            st.sampled_from(["chat", "execute_tool", "queued", "7", 1, 2**60, 0.5, float("nan"), True]),
        ),
    ),
    max_size=30,
)


@given(steps, st.randoms(use_true_random=False))
def test_however_spans_change_the_live_end_is_the_archived_tree(steps: list[Any], random: Any) -> None:
    running = Running()
    open_spans = [running.start("POST /ask")]
    actions: dict[str, Callable[[], Any]] = {
        "start": lambda: open_spans.append(running.start("step", random.choice(open_spans))),
        "end": lambda: running.end(open_spans.pop()) if len(open_spans) > 1 else None,
        "look": running.look,
        "rename": lambda: random.choice(open_spans).update_name("renamed"),
    }
    for step in steps:
        if isinstance(step, str):
            actions[step]()
        else:
            random.choice(open_spans).set_attribute(*step)
    running.look()
    if random.random() < 0.5:
        while open_spans:
            running.end(open_spans.pop())
    assert entries_of(running.streamed()) == entries_of(running.archived(200))
