"""One contract for every kind of Redis: each server there is, a Cluster, one behind Sentinels; over a failover too."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from spanflow.span_processors import names
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.reaper import Patience, Reaper
from spanflow.span_processors.event.event import decode, encode
from spanflow.span_processors.redis.redis_client import async_client, close_async_client, close_client, sync_client
from spanflow.span_processors.redis.watched_store import watch, watched_users
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.flow_parts import span
from tests.support.poll import eventually
from tests.support.query import query, value
from tests.support.redis_builds import SOURCES, built_server
from tests.support.redis_server import RedisServer
from tests.support.redis_topologies import redis_cluster, redis_with_sentinels
from tests.support.traced_gateway import NOON, TracedGateway, flow_id_of

#: The server that the `embedded` extra brings, and those that this machine may have.
PROGRAMS = ("embedded", "redis-server", "valkey-server")


def request(gateway: TracedGateway) -> str:
    with gateway.span("POST /ask", attributes={"user.id": "7", "flow.session_id": "s1"}) as root:
        with gateway.span("auth_check", root), gateway.span("llm_thinking", root):
            pass
    return flow_id_of(root)


def spans_of(client: Any, flow_id: str) -> list[tuple[str, str]]:
    found = client.xrange(names.flow_stream(flow_id))
    entries = FlowReducer(decode(entry[b"e"]) for _, entry in found).entries()
    return [(entry["name"], entry["phase"]) for entry in entries]


def arrived(client: Any, flow_id: str) -> bool:
    """Whether the whole request is there; a server in the middle of a failover has nothing yet."""
    try:
        return spans_of(client, flow_id) == WHOLE
    except RedisError:
        return False


WHOLE = [("POST /ask", "end"), ("auth_check", "end"), ("llm_thinking", "end")]


def activities_wait_for_the_archive(gateway: TracedGateway, client: Any) -> None:
    """What a person saw is kept beside the flow while that runs, and goes with it."""
    with gateway.span("POST /ask", attributes={"user.id": "7"}) as root:
        gateway.pipeline.record_activity(
            root.get_span_context().trace_id, Activity("user_message", time.time_ns(), {"message": "hello"})
        )
        kept = names.flow_activities(flow_id_of(root))
        eventually(lambda: client.xlen(kept) == 1)
    eventually(lambda: client.exists(kept) == 0)


def a_dead_process_is_reaped(redis_url: str, client: Any, postgres_dsn: str, data_dir: Path) -> None:
    """What a process without a heartbeat has left open is archived with its activities, and out of the index."""
    flow_id = f"{4711:032x}"
    left = span(1, ended=False, attributes={"user.id": "7"}, process="gone")
    client.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: encode(left)})
    said = Activity("user_message", NOON, {"message": "hello"}, conversation_id="c1")
    client.xadd(names.flow_activities(flow_id), {names.STREAM_FIELD: said.to_bytes()})
    client.zadd(names.OPEN_FLOWS, {flow_id: time.time() - 60})
    assert asyncio.run(_look_once(redis_url, postgres_dsn, data_dir)) == 1
    rows = query(postgres_dsn, "SELECT flow_id, outcome, complete_why FROM omni2.interaction_flows")
    assert rows == [{"flow_id": flow_id, "outcome": "interrupted", "complete_why": "reaped"}]
    assert value(postgres_dsn, "SELECT activity_data->>'message' FROM omni2.user_activities") == "hello"
    assert client.zscore(names.OPEN_FLOWS, flow_id) is None
    assert client.exists(names.flow_activities(flow_id)) == 0


async def _look_once(redis_url: str, postgres_dsn: str, data_dir: Path) -> int:
    settings = Settings(redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(data_dir), spool_reserve_bytes=0)
    reaper = Reaper(settings, patience=Patience(missing=0))
    try:
        return await reaper.scan()
    finally:
        await reaper.close()


def contract(gateway: TracedGateway, client: Any, postgres_dsn: str, data_dir: Path) -> None:
    """What holds on every kind of Redis."""
    flows = [request(gateway) for _ in range(30)]
    assert gateway.pipeline.force_flush(10)
    assert [spans_of(client, flow_id) for flow_id in flows] == [WHOLE] * 30
    indexed = {flow_id.decode() for flow_id in client.zrange(names.user_flows("7"), 0, -1)}
    assert indexed >= set(flows)
    assert client.get(names.process_heartbeat(gateway.pipeline.instance_id))
    eventually(lambda: client.zcard(names.OPEN_FLOWS) == 0)
    activities_wait_for_the_archive(gateway, client)
    a_dead_process_is_reaped(gateway.settings.redis_url, client, postgres_dsn, data_dir)
    assert asyncio.run(_watch_somebody(gateway.settings)).keys() == {"7"}
    assert gateway.counts().dropped == {} and gateway.counts().balanced


async def _watch_somebody(settings: Settings) -> dict[str, float]:
    client = async_client(settings)
    try:
        await watch(client, {"7": time.time() + 60})
        return await watched_users(client)
    finally:
        await close_async_client(client)


@pytest.mark.parametrize("name", PROGRAMS)
def test_on_a_single_server(
    name: str, new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    found = shutil.which(name)
    if found is None and name != "embedded":
        pytest.skip(f"there is no {name} on PATH")
    holds_on(Path(found) if found else None, new_server_directory(), postgres_dsn, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", SOURCES)
def test_on_a_server_built_from_source(
    name: str, new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    holds_on(built_server(name), new_server_directory(), postgres_dsn, tmp_path)


def holds_on(program: Path | None, directory: Path, postgres_dsn: str, data_dir: Path) -> None:
    server = RedisServer(directory, program=program).start()
    client = sync_client(Settings(redis_url=server.url))
    try:
        with TracedGateway(server.url) as gateway:
            contract(gateway, client, postgres_dsn, data_dir)
    finally:
        close_client(client)
        server.kill()


@pytest.mark.long
def test_on_a_cluster_and_over_the_loss_of_a_node(
    new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    with redis_cluster(new_server_directory) as servers:
        url = f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"
        client: Any = sync_client(Settings(redis_url=url))
        with TracedGateway(url) as gateway:
            contract(gateway, client, postgres_dsn, tmp_path)
            client.zadd(names.MONITORED_UNTIL, {"7": time.time() + 60})
            watched: Any = gateway.pipeline._watched
            eventually(lambda: watched.is_watched("7"), within=10)
            servers[1].kill()
            begun = time.monotonic()
            during = [request(gateway) for _ in range(20)]
            assert time.monotonic() - begun < 1
            eventually(lambda: gateway.counts().waiting == 0, within=30)
            eventually(lambda: all(arrived(client, flow_id) for flow_id in during), within=20)
            assert gateway.counts().dropped == {} and gateway.counts().balanced
        client.close()


@pytest.mark.long
def test_behind_sentinels_and_over_a_failover(
    new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    with redis_with_sentinels(new_server_directory) as (master, replica, ports):
        url = "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/flows"
        client: Any = sync_client(Settings(redis_url=url))
        with TracedGateway(url) as gateway:
            contract(gateway, client, postgres_dsn, tmp_path)
            root = gateway.start("POST /ask", attributes={"user.id": "7"})
            assert gateway.pipeline.force_flush(10)
            eventually(lambda: spans_of(client, flow_id_of(root)) == [("POST /ask", "start")])
            master.kill()
            during = [request(gateway) for _ in range(20)]
            eventually(lambda: gateway.counts().waiting == 0, within=30)
            gateway.end(root)
            assert gateway.pipeline.force_flush(10)
            on_replica: Any = sync_client(Settings(redis_url=replica.url))
            for flow_id in during:
                assert spans_of(on_replica, flow_id) == WHOLE
            assert spans_of(on_replica, flow_id_of(root)) == [("POST /ask", "end")]
            assert gateway.counts().dropped == {} and gateway.counts().balanced
            on_replica.close()
        close_client(client)
