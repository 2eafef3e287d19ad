"""The same mirror and the same watched users on a Redis Cluster and behind Sentinels, over a failover too."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from spanflow.span_processors import names
from spanflow.span_processors.event.event import decode
from spanflow.span_processors.redis.redis_client import async_client, close_client, sync_client
from spanflow.span_processors.redis.watched_store import watch, watched_users
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.poll import eventually
from tests.support.redis_topologies import redis_cluster, redis_with_sentinels
from tests.support.traced_gateway import TracedGateway, flow_id_of

pytestmark = pytest.mark.long


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


def contract(gateway: TracedGateway, client: Any) -> None:
    """What holds on every kind of Redis."""
    flows = [request(gateway) for _ in range(30)]
    assert gateway.pipeline.force_flush(10)
    assert [spans_of(client, flow_id) for flow_id in flows] == [WHOLE] * 30
    indexed = {flow_id.decode() for flow_id in client.zrange(names.user_flows("7"), 0, -1)}
    assert indexed >= set(flows)
    assert client.get(names.process_heartbeat(gateway.pipeline.instance_id))
    eventually(lambda: client.zcard(names.OPEN_FLOWS) == 0)
    assert gateway.counts().dropped == {} and gateway.counts().balanced


async def _watch_somebody(settings: Settings) -> dict[str, float]:
    client = async_client(settings)
    try:
        await watch(client, {"7": time.time() + 60})
        return await watched_users(client)
    finally:
        await client.aclose()


@pytest.mark.anyio
async def test_watched_users_on_a_cluster(new_server_directory: Callable[[], Path]) -> None:
    with redis_cluster(new_server_directory) as servers:
        settings = Settings(redis_url=f"redis+cluster://127.0.0.1:{servers[0].port}")
        assert set(await _watch_somebody(settings)) == {"7"}


def test_on_a_cluster_and_over_the_loss_of_a_node(new_server_directory: Callable[[], Path]) -> None:
    with redis_cluster(new_server_directory) as servers:
        url = f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"
        client: Any = sync_client(Settings(redis_url=url))
        with TracedGateway(url) as gateway:
            contract(gateway, client)
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


def test_behind_sentinels_and_over_a_failover(new_server_directory: Callable[[], Path]) -> None:
    with redis_with_sentinels(new_server_directory) as (master, replica, ports):
        url = "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/flows"
        client: Any = sync_client(Settings(redis_url=url))
        with TracedGateway(url) as gateway:
            contract(gateway, client)
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
