"""Watched users: who is watched is known in the process, at once and to the second."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest
import redis
from inline_snapshot import snapshot
from opentelemetry.trace import StatusCode

from spanflow.span_processors import names
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redis.redis_client import AsyncClient, async_client
from spanflow.span_processors.redis.watched import WatchedUsers
from spanflow.span_processors.redis.watched_store import bring_in_step, unwatch, watch, watched_users
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.traced_gateway import TracedGateway, flow_id_of


def in_redis(url: str, work: Callable[[AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        client = async_client(Settings(redis_url=url))
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


class Listener:
    """What is published for watchers, in order, with ids of spans made short."""

    def __init__(self, client: "redis.Redis") -> None:
        self._pubsub: Any = client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.psubscribe("flow_*")
        eventually(lambda: self._pubsub.get_message() is not None)
        self.heard: list[tuple[str, Any]] = []

    def hear(self, number: int) -> list[tuple[str, Any]]:
        eventually(lambda: self._listen() >= number)
        return self.heard

    def messages(self, number: int) -> list[Any]:
        """The messages of checkpoints, without bells."""

        def found() -> list[Any]:
            self._listen()
            return [data for channel, data in self.heard if channel.startswith("flow_events")]

        eventually(lambda: len(found()) >= number)
        return found()

    def _listen(self) -> int:
        while message := self._pubsub.get_message():
            channel, data = message["channel"].decode(), message["data"]
            self.heard.append((channel, orjson.loads(data) if channel.startswith("flow_events") else data.decode()))
        return len(self.heard)

    def close(self) -> None:
        self._pubsub.close()


def test_a_model_call_that_is_known_as_one_only_later_is_told_as_well(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    listener = Listener(redis_client)
    with TracedGateway(redis_url) as gateway:
        gateway.pipeline._watched.ensure_started()  # type: ignore[union-attr]
        assert gateway.pipeline._watched.wait_loaded(5)  # type: ignore[union-attr]
        root = gateway.start("POST /ask", attributes={"user.id": "7"})
        call = gateway.start("llm.proxy", root)
        listener.hear(1)
        call.set_attribute("gen_ai.operation.name", "chat")
        gateway.end(call)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        (message,) = listener.messages(1)
    listener.close()
    assert (message["event_type"], message["status"], message["duration_ms"]) == ("llm_thinking", "ok", 1.0)


def test_the_first_flow_of_a_process_is_told_even_when_it_ends_at_once(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    for _ in range(5):
        listener = Listener(redis_client)
        with TracedGateway(redis_url) as gateway:
            gateway.end(gateway.start("POST /ask", attributes={"user.id": "7"}))
            assert gateway.pipeline.force_flush(5)
            listener.hear(1)
        listener.close()


def test_a_watched_users_request_rings_as_it_happens(redis_url: str, redis_client: "redis.Redis") -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    listener = Listener(redis_client)
    with TracedGateway(redis_url) as gateway:
        gateway.pipeline._watched.ensure_started()  # type: ignore[union-attr]
        assert gateway.pipeline._watched.wait_loaded(5)  # type: ignore[union-attr]
        root = gateway.start("POST /ask", attributes={"user.id": "7", "flow.session_id": "s1"})
        thinking = gateway.start("llm_thinking", root)
        listener.hear(2)
        with gateway.span("query", thinking) as query, gateway.span("tool_call", query) as tool:
            tool.set_attribute("flow.data.tool", "list")
        gateway.end(thinking)
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        heard = listener.hear(4)
        messages = [data for channel, data in heard if channel == "flow_events:7"]
        assert messages == snapshot(
            [
                {
                    "type": "flow_event",
                    "user_id": 7,
                    "session_id": "s1",
                    "node_id": "0000000000000002",
                    "event_type": "llm_thinking",
                    "parent_id": None,
                    "timestamp": 1767614400.002,
                    "duration_ms": None,
                    "status": "running",
                    "source": "chat",
                },
                {
                    "type": "flow_event",
                    "user_id": 7,
                    "session_id": "s1",
                    "node_id": "0000000000000004",
                    "event_type": "tool_call",
                    "parent_id": "0000000000000002",
                    "timestamp": 1767614400.004,
                    "duration_ms": 1.0,
                    "status": "ok",
                    "source": "chat",
                    "tool": "list",
                },
            ]
        )
        bells = [data for channel, data in heard if channel == "flow_bell:7"]
        assert bells and set(bells) == {flow_id_of(root)}
    listener.close()


def test_what_came_before_the_user_was_known_rings_in_order_when_it_is(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    listener = Listener(redis_client)
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask")
        for kind in ("auth_check", "block_check"):
            with gateway.span(kind, root):
                pass
        with gateway.span("llm_thinking", root):
            pass
        assert gateway.pipeline.force_flush(5)
        assert listener.heard == []
        gateway.pipeline.identify(root.get_span_context().trace_id, Identity(user_id="7"))
        heard = listener.hear(4)
        assert [data if isinstance(data, str) else data["event_type"] for _, data in heard] == [
            "auth_check",
            "block_check",
            "llm_thinking",
            flow_id_of(root),
        ]
        gateway.end(root)
    listener.close()


def test_watching_somebody_mid_request_shows_the_request_from_its_beginning(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    listener = Listener(redis_client)
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask", attributes={"user.id": "7"})
        with gateway.span("auth_check", root):
            pass
        assert gateway.pipeline.force_flush(5)
        begun = time.monotonic()
        in_redis(redis_url, lambda client: watch(client, {"7": time.time() + 60}))
        heard = listener.hear(2)
        assert time.monotonic() - begun < 1
        assert [data if isinstance(data, str) else data["event_type"] for _, data in heard] == [
            "auth_check",
            flow_id_of(root),
        ]
        in_redis(redis_url, lambda client: unwatch(client, ["7"]))
        eventually(lambda: not gateway.pipeline._watched.any_watched())  # type: ignore[union-attr]
        with gateway.span("tool_call", root):
            pass
        gateway.end(root)
        assert gateway.pipeline.force_flush(5)
        assert len(listener.hear(2)) == 2
    listener.close()


def test_of_a_user_watched_without_contents_only_metadata_is_published(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    listener = Listener(redis_client)
    with TracedGateway(redis_url, content="full") as gateway:
        in_redis(redis_url, lambda client: watch(client, {"7": time.time() + 60}, {"7"}))
        gateway.pipeline._watched.ensure_started()  # type: ignore[union-attr]
        assert gateway.pipeline._watched.wait_loaded(5)  # type: ignore[union-attr]
        root = gateway.start("POST /ask", attributes={"user.id": "7", "flow.session_id": "s1"})
        with gateway.span("tool_call", root) as tool:
            tool.set_attributes({"flow.data.tool": "list", "flow.data.prompt": "hush", "flow.data.note": "hush"})
            tool.set_attributes({"gen_ai.usage.input_tokens": 5, "gen_ai.tool.call.arguments": "hush"})
            tool.set_status(StatusCode.ERROR, "hush")
        assert gateway.pipeline.force_flush(5)
        assert listener.messages(1) == snapshot(
            [
                {
                    "type": "flow_event",
                    "user_id": 7,
                    "session_id": "s1",
                    "node_id": "0000000000000002",
                    "event_type": "tool_call",
                    "parent_id": None,
                    "timestamp": 1767614400.002,
                    "duration_ms": 1.0,
                    "status": "error",
                    "source": "chat",
                    "tool": "list",
                    "tokens": 5,
                }
            ]
        )
        in_redis(redis_url, lambda client: watch(client, {"7": time.time() + 60}))
        eventually(lambda: gateway.pipeline._watched._metadata_only == frozenset())  # type: ignore[union-attr]
        with gateway.span("tool_call", root, attributes={"flow.data.note": "hello"}):
            pass
        gateway.end(root)
        assert listener.messages(2)[1]["note"] == "hello"
    listener.close()


def test_a_gateway_that_may_not_read_who_is_watched_without_contents_publishes_nobodys(
    redis_url: str, redis_client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    user = "old-rights"
    rules = "on >pw resetkeys ~flow* ~monitored_users ~monitored_until allchannels +@all".split()
    redis_client.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]
    try:
        redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
        watched = WatchedUsers(Settings(redis_url=redis_url.replace("redis://", f"redis://{user}:pw@")))
        watched.ensure_started()
        assert watched.wait_loaded(5)
        assert watched.is_watched("7")
        assert watched.is_metadata_only("7")
        assert "Let this user read monitored_metadata_only" in caplog.text
        assert watched.shutdown(time.monotonic() + 5)
    finally:
        redis_client.execute_command("ACL", "DELUSER", user)  # type: ignore[no-untyped-call]


def test_nobody_else_rings(redis_url: str, redis_client: "redis.Redis") -> None:
    redis_client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    listener = Listener(redis_client)
    with TracedGateway(redis_url) as gateway:
        with gateway.span("POST /ask", attributes={"user.id": "8"}) as root, gateway.span("auth_check", root):
            pass
        with gateway.span("POST /ask") as nobody, gateway.span("auth_check", nobody):
            pass
        assert gateway.pipeline.force_flush(5)
        assert listener.heard == []
    listener.close()


def test_watching_ends_to_the_second_without_a_message(redis_url: str, redis_client: "redis.Redis") -> None:
    now = 1000.0
    redis_client.zadd(names.MONITORED_UNTIL, {"7": 1010.0, "8": 999.0})
    redis_client.sadd(names.MONITORED_USERS, "7", "8", "9")
    watched = WatchedUsers(Settings(redis_url=redis_url), wall_clock=lambda: now)
    watched.ensure_started()
    assert watched.wait_loaded(5)
    assert [watched.is_watched(user) for user in ("7", "8", "9", "10")] == [True, False, True, False]
    now = 1009.99
    assert watched.is_watched("7")
    now = 1010.0
    assert not watched.is_watched("7")
    assert watched.shutdown(time.monotonic() + 5)


def test_a_change_is_known_in_every_process_within_a_second(redis_url: str) -> None:
    processes = [WatchedUsers(Settings(redis_url=redis_url, watched_refresh=60)) for _ in range(3)]
    for process in processes:
        process.ensure_started()
        assert process.wait_loaded(5)
    in_redis(redis_url, lambda client: watch(client, {"7": time.time() + 60}))
    eventually(lambda: all(process.is_watched("7") for process in processes), within=1)
    in_redis(redis_url, lambda client: unwatch(client, ["7"]))
    eventually(lambda: not any(process.is_watched("7") for process in processes), within=1)
    for process in processes:
        assert process.shutdown(time.monotonic() + 5)


def test_a_change_that_nobody_announces_is_known_at_the_next_look(redis_url: str, redis_client: "redis.Redis") -> None:
    watched = WatchedUsers(Settings(redis_url=redis_url, watched_refresh=0.1))
    watched.ensure_started()
    assert watched.wait_loaded(5)
    redis_client.sadd(names.MONITORED_USERS, "7")  # as a dashboard older than Spanflow does
    eventually(lambda: watched.is_watched("7"))
    redis_client.srem(names.MONITORED_USERS, "7")
    eventually(lambda: not watched.is_watched("7"))
    assert watched.shutdown(time.monotonic() + 5)


def test_a_flush_is_noticed_and_an_outage_changes_nothing(
    proxy: Callable[[str], TcpProxy], redis_url: str, redis_client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    line = proxy(redis_url)
    watched = WatchedUsers(Settings(redis_url=line.url, watched_refresh=0.1, redis_timeout=0.2))
    in_redis(redis_url, lambda client: watch(client, {"7": time.time() + 60}))
    watched.ensure_started()
    assert watched.wait_loaded(5)
    line.cut()
    eventually(lambda: "cannot be read" in caplog.text)
    assert watched.is_watched("7")
    redis_client.flushall()
    assert watched.is_watched("7")
    line.restore()
    eventually(lambda: not watched.is_watched("7"))
    assert watched.shutdown(time.monotonic() + 5)


def test_both_keys_are_kept_in_step_and_a_flush_is_repaired(redis_url: str, redis_client: "redis.Redis") -> None:
    now = time.time()
    wanted = {"7": now + 60, "8": now + 30}
    in_redis(redis_url, lambda client: watch(client, wanted))
    assert redis_client.smembers(names.MONITORED_USERS) == {b"7", b"8"}
    assert in_redis(redis_url, watched_users) == wanted
    assert not in_redis(redis_url, lambda client: bring_in_step(client, wanted, now))
    redis_client.flushall()
    assert in_redis(redis_url, lambda client: bring_in_step(client, wanted, now))
    assert in_redis(redis_url, watched_users) == wanted
    # Half a minute later one of them is over, and leaves both keys.
    assert in_redis(redis_url, lambda client: bring_in_step(client, wanted, now + 31))
    assert redis_client.smembers(names.MONITORED_USERS) == {b"7"}
    assert redis_client.zrange(names.MONITORED_UNTIL, 0, -1) == [b"7"]


def test_who_is_watched_without_contents_is_kept_in_step_too(redis_url: str, redis_client: "redis.Redis") -> None:
    now = time.time()
    wanted = {"7": now + 60, "8": now + 60}

    def withheld() -> set[bytes]:
        members: Any = redis_client.smembers(names.MONITORED_METADATA_ONLY)
        return set(members)

    in_redis(redis_url, lambda client: watch(client, wanted, {"7", "9"}))
    assert withheld() == {b"7"}
    assert not in_redis(redis_url, lambda client: bring_in_step(client, wanted, now, {"7"}))
    # Another one of the two, somebody whom an older dashboard added, and back again.
    redis_client.sadd(names.MONITORED_USERS, "5")
    assert in_redis(redis_url, lambda client: bring_in_step(client, wanted, now, {"8", "5"}))
    assert withheld() == {b"8", b"5"}
    assert in_redis(redis_url, lambda client: bring_in_step(client, wanted, now, {"8"}))
    assert withheld() == {b"8"}
    redis_client.flushall()
    assert in_redis(redis_url, lambda client: bring_in_step(client, wanted, now, {"8"}))
    assert (withheld(), in_redis(redis_url, watched_users)) == ({b"8"}, wanted)
    in_redis(redis_url, lambda client: unwatch(client, ["8"]))
    assert withheld() == set()


def test_nothing_to_change_sends_nothing(redis_url: str, redis_client: "redis.Redis") -> None:
    in_redis(redis_url, lambda client: watch(client, {}))
    in_redis(redis_url, lambda client: unwatch(client, []))
    assert redis_client.dbsize() == 0
