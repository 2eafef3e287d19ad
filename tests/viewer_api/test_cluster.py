"""Watching and live data over a Redis Cluster."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.cluster

from spanflow.span_processors import names
from spanflow.span_processors.event.event import encode
from tests.support.live_client import following
from tests.support.poll import eventually
from tests.support.redis_server import RedisServer
from tests.viewer_api.conftest import MakeViewer

pytestmark = [pytest.mark.long, pytest.mark.anyio]
_SLOTS = 16384
#: Nodes talk to each other on a port that is 10,000 higher.
_LAST_PORT = 55_000


def _node(directory: Path) -> RedisServer:
    server = RedisServer(directory, "--cluster-enabled", "yes")
    while server.port > _LAST_PORT:
        server = RedisServer(directory, "--cluster-enabled", "yes")
    return server.start()


def command(client: Any, *words: object) -> Any:
    return client.execute_command(*words)


def _is_ready(client: redis.Redis) -> bool:
    return bool(command(client, "CLUSTER INFO")["cluster_state"] == "ok")


@pytest.fixture
def cluster_url(new_server_directory: Callable[[], Path]) -> Iterator[str]:
    """Three masters."""
    servers = [_node(new_server_directory()) for _ in range(3)]
    clients = [redis.Redis.from_url(server.url) for server in servers]
    try:
        share = _SLOTS // 3 + 1
        for index, client in enumerate(clients):
            slots = range(index * share, min((index + 1) * share, _SLOTS))
            command(client, "CLUSTER", "ADDSLOTS", *slots)
            command(client, "CLUSTER", "MEET", "127.0.0.1", str(servers[0].port))
        for client in clients:
            eventually(partial(_is_ready, client), within=20)
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    finally:
        for client in clients:
            client.close()
        for server in servers:
            server.kill()


async def test_flows_are_watched_over_a_cluster(make_viewer: MakeViewer, cluster_url: str) -> None:
    viewer = make_viewer(url=cluster_url)
    viewer.post("/api/v1/monitoring/enable/7")
    assert viewer.get("/readyz")["redis"] == "up"
    host, _, port = cluster_url.removeprefix("redis+cluster://").split(",")[0].partition(":")
    with redis.cluster.RedisCluster(host=host, port=int(port)) as server:
        async with following(viewer) as client:
            for number in range(20):
                flow_id = f"{number:032x}"
                event = encode({"phase": "start", "node_id": f"n{number}", "parent_id": None})
                server.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: event})
                server.zadd(names.OPEN_FLOWS, {flow_id: 1})
                server.zadd(names.user_flows("7"), {flow_id: number})
                server.publish(names.flow_bell("7"), flow_id)
            await client.until(lambda: len(client.nodes()) == 20)
        assert server.sismember(names.MONITORED_USERS, "7")
