"""What stands beside a flow's events in Redis: its expiry, its place in the indexes, and no more than is useful."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redis.mirror import Mirror
from spanflow.span_processors.redis.mirror_items import END, StreamEntry
from spanflow.span_processors.redis.redis_client import RedisAddress
from spanflow.span_processors.redis.redis_link import RawLink
from spanflow.span_processors.redis.resp_commands import RawCommands
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.sink import Receipt
from tests.support.poll import eventually
from tests.support.redis_server import RedisServer
from tests.support.stepped_clock import SteppedClock
from tests.support.traced_gateway import TracedGateway, flow_id_of

HOUR = 3600.0


class LaterClock:
    """The machine's clocks, put forward by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time_ns(self) -> int:
        return time.time_ns() + int(self.ahead * 1e9)


def gateway_with(clock: LaterClock, redis_url: str, **settings: Any) -> TracedGateway:
    patient: dict[str, Any] = {"flow_idle": 1000 * HOUR, "flow_max_age": 1000 * HOUR}
    return TracedGateway(redis_url, wall_clock=clock, **patient, **settings)


def test_the_expiry_of_a_stream_slides_while_its_flow_goes_on(redis_url: str, redis_client: "redis.Redis") -> None:
    clock = LaterClock()
    with gateway_with(clock, redis_url) as gateway:
        root = gateway.start("POST /ask")
        assert gateway.pipeline.force_flush(5)
        key = names.flow_stream(flow_id_of(root))
        redis_client.expire(key, 100)  # as if most of a day had gone by

        def after_one_more_event() -> Any:
            with gateway.span("tool_call", root):
                pass
            assert gateway.pipeline.force_flush(5)
            return redis_client.ttl(key)

        assert after_one_more_event() <= 100, "not with every event"
        clock.ahead = 3 * HOUR
        assert after_one_more_event() > 86_000
        gateway.end(root)


def of_redis(client: "redis.Redis") -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


class WrongClock(LaterClock):
    """The time of day is wrong, as on a machine without time synchronisation."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def time_ns(self) -> int:
        return super().time_ns() + int(self.wrong * 1e9)


@pytest.mark.parametrize("wrong", [7200.0, -1200.0])
def test_the_index_of_open_flows_says_by_the_clock_of_redis_when_each_was_heard_of_last(
    redis_url: str, redis_client: "redis.Redis", wrong: float
) -> None:
    clock = WrongClock(wrong)
    with gateway_with(clock, redis_url) as gateway:
        root = gateway.start("POST /ask")

        def heard_of() -> float:
            begun = of_redis(redis_client)
            with gateway.span("tool_call", root):
                pass
            assert gateway.pipeline.force_flush(5)
            score: Any = redis_client.zscore(names.OPEN_FLOWS, flow_id_of(root))
            return float(score) - begun

        assert abs(heard_of()) < 5
        redis_client.zadd(names.OPEN_FLOWS, {flow_id_of(root): 0})
        clock.ahead = 60
        assert abs(heard_of()) < 5, "it is written again, and the clock of Redis has not moved"
        gateway.end(root)


def test_a_gateway_that_may_not_ask_redis_for_the_time_uses_its_own(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    admin: Any = redis_client
    admin.execute_command("ACL", "SETUSER", "older", "on", ">pass", "~*", "&*", "+@all", "-time")
    try:
        with TracedGateway(redis_url.replace("redis://", "redis://older:pass@")) as gateway:
            root = gateway.start("POST /ask")
            assert gateway.pipeline.force_flush(5)
            score: Any = redis_client.zscore(names.OPEN_FLOWS, flow_id_of(root))
            assert abs(score - time.time()) < 10
            gateway.end(root)
            assert gateway.pipeline.force_flush(5)
            assert gateway.counts().dropped == {}
    finally:
        admin.execute_command("ACL", "DELUSER", "older")


def test_a_stream_keeps_the_newest_events_of_a_flow_without_end(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url, stream_maxlen=100, batch_interval=0) as gateway:
        root = gateway.start("WS /chat")
        for _ in range(500):
            with gateway.span("llm_thinking", root):
                pass
        gateway.end(root)
        assert gateway.pipeline.force_flush(10)
        key = names.flow_stream(flow_id_of(root))
        # Trimmed by whole nodes of a hundred, as is cheap for the server.
        assert 100 <= redis_client.xlen(key) <= 200
        newest: Any = redis_client.xrevrange(key, count=1)
        assert b'"node_id":"0000000000000001"' in newest[0][1][b"e"]


def test_an_index_keeps_the_newest_thousand_flows_of_a_user(redis_url: str, redis_client: "redis.Redis") -> None:
    index = names.user_flows("7")
    redis_client.zadd(index, {f"{number:032x}": number for number in range(1500)})
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
            pass
        assert gateway.pipeline.force_flush(5)
    kept: Any = redis_client.zrange(index, 0, -1)
    assert (len(kept), kept[-1].decode()) == (1000, flow_id_of(root))
    assert 86_000 < redis_client.ttl(index) <= 86_400


def test_a_flow_whose_user_is_corrected_leaves_the_indexes_of_the_one_before(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    def indexed(root: Any) -> list[str]:
        keys = [
            make(id)
            for make in (names.user_flows, names.session_flows, names.conversation_flows)
            for id in ("1", "2", "one", "two")
        ]
        return [key for key in keys if redis_client.zscore(key, flow_id_of(root)) is not None]

    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        trace_id = root.get_span_context().trace_id

        def identify(user_id: str, session_id: str) -> list[str]:
            gateway.pipeline.identify(trace_id, Identity(user_id=user_id, session_id=session_id))
            assert gateway.pipeline.force_flush(5)
            return indexed(root)

        assert identify("2", "two") == ["flows:user:2", "flows:session:two"]
        assert identify("1", "one") == ["flows:user:1", "flows:session:one"]
        assert identify("2", "one") == ["flows:user:2", "flows:session:one"]
        gateway.end(root)


def test_a_correction_that_redis_did_not_take_is_made_when_it_is_back(redis_server: RedisServer) -> None:
    with TracedGateway(redis_server.url) as gateway, redis.Redis.from_url(redis_server.url) as client:
        root = gateway.start("POST /ask")
        trace_id, flow_id = root.get_span_context().trace_id, flow_id_of(root)
        gateway.pipeline.identify(trace_id, Identity(user_id="2"))
        assert gateway.pipeline.force_flush(5)
        assert client.zscore(names.user_flows("2"), flow_id) is not None
        redis_server.kill()
        gateway.pipeline.identify(trace_id, Identity(user_id="1"))
        gateway.pipeline.force_flush(1)
        redis_server.start()
        eventually(lambda: client.zscore(names.user_flows("1"), flow_id) is not None)
        assert client.zscore(names.user_flows("2"), flow_id) is None
        gateway.end(root)


class Interrupted(RawCommands):
    """Commands between two of which the encoder's thread comes to run."""

    def __init__(self, encoder: Callable[[tuple[bytes, ...]], None]) -> None:
        super().__init__()
        self._encoder = encoder

    def add(self, *words: bytes) -> None:
        super().add(*words)
        self._encoder(words)


def test_a_user_who_becomes_known_while_another_is_indexed_gets_into_the_index_too(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    stream = StreamState("f" * 32, 100)
    stream.users = ("first", None, None)

    def identify(words: tuple[bytes, ...]) -> None:
        if names.user_flows("first").encode() in words:
            stream.users = ("second", "session", None)

    settings = Settings(redis_url=redis_url)
    link = RawLink(settings, RedisAddress.parse(redis_url))
    link.commands = lambda: Interrupted(identify)  # type: ignore[method-assign]
    mirror = Mirror(link, settings, instance_id=lambda: "p1", process=lambda: b"{}")
    for span_id in range(2):
        receipt = mirror.deliver([StreamEntry(stream, END, span_id, b"{}")], time.monotonic() + 5)
        assert receipt == Receipt(1)
    mirror.close(time.monotonic() + 1)
    assert redis_client.zrange(names.user_flows("second"), 0, -1) == [b"f" * 32]
    assert redis_client.zrange(names.session_flows("session"), 0, -1) == [b"f" * 32]


def test_what_a_process_is_is_written_when_it_changes_and_not_with_every_heartbeat(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    clock = SteppedClock()
    with TracedGateway(redis_url, wall_clock=clock) as gateway:

        def written_again(scope: str = "gateway.code") -> bool:
            """Whether the description is written with the next heartbeat: its place then holds what we did not put."""
            key = names.process_description(gateway.pipeline.instance_id)
            redis_client.set(key, "as it was")
            clock.step(6)
            gateway.provider.get_tracer(scope, "1.2").start_span("POST /ask").end()
            assert gateway.pipeline.force_flush(5)
            found: Any = redis_client.get(key)
            return bool(found != b"as it was")

        with gateway.span("POST /ask"):
            pass
        assert gateway.pipeline.force_flush(5)
        assert not written_again()
        assert written_again("another.library")
        redis_client.flushall()
        clock.step(6)
        with gateway.span("POST /ask"):
            pass
        eventually(lambda: redis_client.get(names.process_description(gateway.pipeline.instance_id)))
