"""Redis slow, away, full, read-only, emptied: requests go on, memory is bounded, counts are exact, all comes back."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from inline_snapshot import snapshot
from opentelemetry.trace import Span

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.tls import make_certificate, tls_before
from tests.support.traced_gateway import TracedGateway, flow_id_of, phases_of, stream_of

MakeProxy = Callable[[str], TcpProxy]


def entries_of(client: "redis.Redis", flow_id: str) -> list[Any]:
    found: Any = client.xrange(names.flow_stream(flow_id))
    return FlowReducer(decode(entry[b"e"]) for _, entry in found).entries()


def request(gateway: TracedGateway, checkpoints: int = 2) -> str:
    with gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
        for _ in range(checkpoints):
            with gateway.span("tool_call", root, attributes={"flow.data.tool": "list"}):
                pass
    return flow_id_of(root)


def settled(gateway: TracedGateway) -> bool:
    counts = gateway.counts()
    assert counts.balanced
    return counts.waiting == 0


def check_indexed(client: "redis.Redis", all_of_them: list[str], still_open: Span) -> None:
    """The user's flows are all in the index, and the one that runs is in that of open flows and expires one day."""
    found: Any = client.zrange(names.user_flows("7"), 0, -1)
    assert {flow_id.decode() for flow_id in found} == {*all_of_them, flow_id_of(still_open)}
    assert client.zrange(names.OPEN_FLOWS, 0, -1) == [flow_id_of(still_open).encode()]
    assert client.ttl(names.flow_stream(flow_id_of(still_open))) > 80_000


@pytest.mark.parametrize("misbehave", ["cut", "half_open", "drip"])
def test_a_short_outage_loses_nothing(
    misbehave: str, proxy: MakeProxy, redis_url: str, redis_client: "redis.Redis"
) -> None:
    line = proxy(redis_url)
    with TracedGateway(line.url, redis_timeout=0.2) as gateway:
        first = request(gateway)
        assert gateway.pipeline.force_flush(5)
        line.drip(20) if misbehave == "drip" else getattr(line, misbehave)()
        begun = time.monotonic()
        during = [request(gateway) for _ in range(20)]
        still_open = gateway.start("POST /ask", attributes={"user.id": "7"})
        assert time.monotonic() - begun < 1
        assert not gateway.pipeline.force_flush(0.5)
        line.restore()
        eventually(lambda: settled(gateway), within=10)
        for flow_id in [first, *during]:
            assert [entry["phase"] for entry in entries_of(redis_client, flow_id)] == ["end"] * 3
        eventually(lambda: redis_client.zcard(names.OPEN_FLOWS) == 1)
        check_indexed(redis_client, [first, *during], still_open)
        assert gateway.counts().dropped == {}
        gateway.end(still_open)


def test_a_slow_line_is_not_taken_for_a_dead_one(proxy: MakeProxy, redis_url: str, redis_client: "redis.Redis") -> None:
    line = proxy(redis_url)
    line.delay(0.1)
    with TracedGateway(line.url, redis_timeout=0.5) as gateway:
        flows = [request(gateway) for _ in range(20)]
        assert gateway.pipeline.force_flush(10)
        assert all(len(entries_of(redis_client, flow_id)) == 3 for flow_id in flows)
        assert gateway.counts().dropped == {}


def test_a_long_outage_is_bounded_and_counted_and_ends_bring_what_starts_could_not(
    proxy: MakeProxy, redis_url: str, redis_client: "redis.Redis"
) -> None:
    line = proxy(redis_url)
    with TracedGateway(line.url, queue_spans=50, redis_timeout=0.2) as gateway:
        request(gateway)
        assert gateway.pipeline.force_flush(5)
        line.cut()
        long_lived = []
        for _ in range(60):
            # Together more than the mirror's queue holds.
            long_lived.append(gateway.start("POST /ask", attributes={"user.id": "7"}))
            gateway.pipeline.force_flush(0.001)
        eventually(lambda: gateway.counts().waiting >= 60)
        for _ in range(400):
            request(gateway, checkpoints=0)
            gateway.pipeline.force_flush(0.001)
        starts_too_late = gateway.start("POST /ask", attributes={"user.id": "7"})
        eventually(lambda: gateway.pipeline.counters.intake.waiting == 0)
        assert gateway.counts().lost > 0 and gateway.counts().waiting <= 200
        line.restore()
        eventually(lambda: settled(gateway), within=15)
        gateway.end(starts_too_late)
        assert gateway.pipeline.force_flush(5)
        (event,) = stream_of(redis_client, flow_id_of(starts_too_late))
        # The end carries the whole span and says so: `late` tells what only the end knew.
        assert {key: event[key] for key in ("phase", "name", "attributes", "late")} == snapshot(
            {"phase": "end", "name": "POST /ask", "attributes": {"user.id": "7"}, "late": ["end_ns", "status"]}
        )
        counts = gateway.counts()
        assert counts.balanced and set(counts.dropped) <= {"unavailable", "queue_full"}
        for span in long_lived:
            gateway.end(span)


@pytest.mark.parametrize("trouble", ["out of memory", "read-only"])
def test_a_server_that_takes_no_writes_gets_them_when_it_does_again(trouble: str, redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)
    with TracedGateway(redis_server.url) as gateway:
        before = request(gateway)
        assert gateway.pipeline.force_flush(5)
        if trouble == "out of memory":
            client.config_set("maxmemory", "1")
        else:
            client.replicaof("127.0.0.1", "1")
        during = [request(gateway) for _ in range(5)]
        still_open = gateway.start("POST /ask", attributes={"user.id": "7"})
        assert not gateway.pipeline.force_flush(0.2)
        assert gateway.counts().balanced
        if trouble == "out of memory":
            client.config_set("maxmemory", "0")
        else:
            client.replicaof("NO", "ONE")
        eventually(lambda: settled(gateway), within=10)
        for flow_id in [before, *during]:
            assert [entry["phase"] for entry in entries_of(client, flow_id)] == ["end"] * 3
        eventually(lambda: client.zcard(names.OPEN_FLOWS) == 1)
        check_indexed(client, [before, *during], still_open)
        assert gateway.counts().dropped == {}
        gateway.end(still_open)
    client.close()


def test_after_a_flush_running_flows_come_back_whole_and_indexed(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        root = gateway.start("POST /ask", attributes={"user.id": "7", "http.route": "/ask"})
        tool = gateway.start("tool_call", root, attributes={"flow.data.tool": "list"})
        assert gateway.pipeline.force_flush(5)
        redis_client.flushall()
        later = gateway.start("tool_call", root, attributes={"flow.data.tool": "get"})
        for span in (later, tool, root):
            gateway.end(span)
        assert gateway.pipeline.force_flush(5)
        flow_id = flow_id_of(root)
        assert phases_of(redis_client, flow_id) == [("3", "start"), ("3", "end"), ("2", "end"), ("1", "end")]
        assert [
            (entry["name"], entry["attributes"], entry["phase"]) for entry in entries_of(redis_client, flow_id)
        ] == snapshot(
            [
                ("POST /ask", {"user.id": "7", "http.route": "/ask"}, "end"),
                ("tool_call", {"flow.data.tool": "list"}, "end"),
                ("tool_call", {"flow.data.tool": "get"}, "end"),
            ]
        )
        assert redis_client.zrange(names.user_flows("7"), 0, -1) == [flow_id.encode()]


def test_a_flow_that_ends_just_after_a_flush_is_not_left_open(redis_url: str, redis_client: "redis.Redis") -> None:
    with TracedGateway(redis_url) as gateway:
        roots = [gateway.start("POST /ask") for _ in range(20)]
        assert gateway.pipeline.force_flush(5)
        redis_client.flushall()
        for root in roots:
            gateway.end(root)
        # That they are over is said together with their ends, before anybody knows that their streams are gone.
        assert gateway.pipeline.force_flush(5)
        assert redis_client.zcard(names.OPEN_FLOWS) == 0
        for root in roots:
            assert [entry["phase"] for entry in entries_of(redis_client, flow_id_of(root))] == ["end"]
            assert 0 < redis_client.ttl(names.flow_stream(flow_id_of(root))) <= 3600


def test_a_restart_with_nothing_in_it_is_like_a_flush(new_server_directory: Callable[[], Path]) -> None:
    server = RedisServer(new_server_directory()).start()
    try:
        with TracedGateway(server.url) as gateway:
            root = gateway.start("POST /ask", attributes={"user.id": "7"})
            assert gateway.pipeline.force_flush(5)
            server.kill()
            with gateway.span("tool_call", root):
                pass
            gateway.pipeline.force_flush(0.2)
            server.start()
            eventually(lambda: settled(gateway), within=10)
            gateway.end(root)
            assert gateway.pipeline.force_flush(5)
            client = redis.Redis.from_url(server.url)
            assert [entry["name"] for entry in entries_of(client, flow_id_of(root))] == ["POST /ask", "tool_call"]
            client.close()
    finally:
        server.kill()


def gateway_acl() -> str:
    page = Path("docs/redis.md").read_text()
    line = re.search(r"^user (spanflow-gateway .*)$", page, re.MULTILINE)
    assert line is not None
    return line[1]


def test_a_user_with_no_more_rights_than_documented_is_enough(redis_server: RedisServer) -> None:
    client: Any = redis.Redis.from_url(redis_server.url)
    words = gateway_acl().split()
    # Redis 7.0 refuses the whole line for a subcommand that it does not know, and 6.2 for any.
    assert [word for word in words if "|" in word] == []
    client.execute_command("ACL", "SETUSER", *words)
    client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
    url = redis_server.url.replace("redis://", "redis://spanflow-gateway:change-me@")
    with TracedGateway(url) as gateway:
        with gateway.span("GET /healthz"):
            pass  # from its first span on, a process asks who is watched
        eventually(lambda: gateway.pipeline.is_watched("7"))
        bells = client.pubsub()
        bells.psubscribe("flow_*")
        flow_id = request(gateway)
        assert gateway.pipeline.force_flush(5)
        assert len(entries_of(client, flow_id)) == 3
        eventually(lambda: (bells.get_message() or {}).get("channel") == b"flow_bell:7")
        assert gateway.counts().dropped == {}
        bells.close()
    refused = [entry for entry in client.acl_log() if entry["username"] == "spanflow-gateway"]
    # `CLIENT SETINFO` and its like are only politeness of the client library.
    assert {entry["object"].partition("|")[0] for entry in refused} <= {"client"}
    client.close()


def test_a_user_without_the_rights_loses_events_counted_and_the_log_says_why(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client: Any = redis.Redis.from_url(redis_server.url)
    client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@read", "+subscribe")
    with TracedGateway(redis_server.url.replace("redis://", "redis://reader:secret@")) as gateway:
        request(gateway)
        assert gateway.pipeline.force_flush(5)
        # Three starts, three ends, and that the flow is over.
        assert gateway.counts().dropped == {"refused": 7}
        assert gateway.counts().balanced
    assert [record.message.partition(":")[0] for record in caplog.records if "refuses" in record.message] == [
        "Redis refuses a command of the mirror"
    ]
    client.close()


def test_over_tls(tmp_path: Path, redis_url: str, redis_client: "redis.Redis") -> None:
    certificate, key = make_certificate(tmp_path)
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with tls_before(port, certificate, key) as tls_port:
        url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}"
        with TracedGateway(url) as gateway:
            flow_id = request(gateway)
            assert gateway.pipeline.force_flush(5)
            assert len(entries_of(redis_client, flow_id)) == 3


def test_over_tls_with_a_certificate_nobody_knows_nothing_is_sent(tmp_path: Path, redis_url: str) -> None:
    certificate, key = make_certificate(tmp_path)
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with tls_before(port, certificate, key) as tls_port, TracedGateway(f"rediss://127.0.0.1:{tls_port}/0") as gateway:
        request(gateway)
        assert not gateway.pipeline.force_flush(0.3)
        assert gateway.counts().delivered == 0
