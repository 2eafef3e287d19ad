"""Clients for every form of Redis URL, with small timeouts and without retries.

redis-py waits up to 58 seconds for a silent server by default. Users of these clients have a queue, a breaker or a
loop of its own that decides when to try again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.shared_settings import SharedSettings

SyncClient: TypeAlias = redis.Redis | RedisCluster
AsyncClient: TypeAlias = redis.asyncio.Redis | AsyncRedisCluster

SINGLE: Final = "single"
SENTINEL: Final = "sentinel"
CLUSTER: Final = "cluster"

_SENTINEL_PORT: Final = 26379
_REDIS_PORT: Final = 6379
#: A cluster client has to follow a moved slot or a failover; more than a few rounds are a matter for the caller.
_CLUSTER_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis URL taken apart. `options` go to a connection as they are."""

    kind: str
    url: str
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Take a URL of any supported form apart; `SettingsError` says what is wrong with it, without the password."""
        scheme = url.partition("://")[0]
        try:
            if scheme.endswith("+sentinel"):
                return _sentinel_address(url)
            if scheme.endswith("+cluster"):
                return _cluster_address(url)
            url = _without_protocol(url)
            parse_url(url)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as why:
            raise SettingsError(f"SPANFLOW_REDIS_URL: cannot be used; {why}.") from None
        return cls(SINGLE, url)


def sync_client(settings: SharedSettings, **options: Any) -> SyncClient:
    """A client for threads. It connects at its first command."""
    address = RedisAddress.parse(settings.redis_url)
    common = {**connection_options(settings), "retry": Retry(NoBackoff(), 0), **options}
    if address.kind == SENTINEL:
        sentinel = sentinel_of(settings, address)
        return cast(redis.Redis, sentinel.master_for(address.service, **common, **address.options))  # type: ignore[no-untyped-call]
    if address.kind == CLUSTER:
        common["retry"] = Retry(NoBackoff(), _CLUSTER_ROUNDS)
        nodes = [ClusterNode(host, port) for host, port in address.nodes]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, **common, **address.options)
    return redis.Redis.from_url(address.url, **common)


def async_client(settings: SharedSettings, **options: Any) -> AsyncClient:
    """A client for one event loop. It connects at its first command."""
    address = RedisAddress.parse(settings.redis_url)
    common = {**connection_options(settings), "retry": AsyncRetry(NoBackoff(), 0), **options}
    if address.kind == SENTINEL:
        sentinel = AsyncSentinel(list(address.nodes), sentinel_kwargs=_sentinel_kwargs(settings, address))  # type: ignore[no-untyped-call]
        return cast(redis.asyncio.Redis, sentinel.master_for(address.service, **common, **address.options))
    if address.kind == CLUSTER:
        common["retry"] = AsyncRetry(NoBackoff(), _CLUSTER_ROUNDS)
        nodes = [AsyncClusterNode(host, port) for host, port in address.nodes]
        return AsyncRedisCluster(startup_nodes=nodes, **common, **address.options)
    return redis.asyncio.Redis.from_url(address.url, **common)


def close_client(client: Any) -> None:
    """Close a client of `sync_client`, with what it keeps open to the Sentinels."""
    client.close()
    for sentinel in _sentinels_of(client):
        sentinel.close()


async def close_async_client(client: Any) -> None:
    """Close a client of `async_client`, with what it keeps open to the Sentinels."""
    await client.aclose()
    for sentinel in _sentinels_of(client):
        await sentinel.aclose()


def _sentinels_of(client: Any) -> list[Any]:
    """redis-py does not close these itself."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def connection_options(settings: SharedSettings, within: float = math.inf) -> dict[str, Any]:
    """What every connection of ours has in common. RESP2 has one shape of answers in all versions of redis-py.

    `within`: seconds left for connecting.
    """
    return {
        "protocol": 2,
        "socket_timeout": min(settings.redis_timeout, within),
        "socket_connect_timeout": min(settings.redis_timeout, within),
    }


def sentinel_of(settings: SharedSettings, address: RedisAddress, within: float = math.inf) -> Sentinel:
    """The Sentinels of an address, to ask which server is the master now."""
    return Sentinel(list(address.nodes), sentinel_kwargs=_sentinel_kwargs(settings, address, within))  # type: ignore[no-untyped-call]


def _sentinel_kwargs(settings: SharedSettings, address: RedisAddress, within: float = math.inf) -> dict[str, Any]:
    return {**connection_options(settings, within), **address.sentinel_options}


def _sentinel_address(url: str) -> RedisAddress:
    """redis+sentinel://[user:password@]host[:port],host[:port]/service[/db]; the credentials are the server's own.

    The Sentinels' own credentials, if they have any, are `?sentinel_username=…&sentinel_password=…`.
    """
    scheme, credentials, hosts, path, query = _parts(url)
    service, _, db = path.partition("/")
    if not service:
        raise ValueError("name the Sentinel service: redis+sentinel://host:26379/service")
    tls = {"ssl": True} if scheme.startswith("rediss") else {}
    own = {key.removeprefix("sentinel_"): query.pop(key) for key in list(query) if key.startswith("sentinel_")}
    options = {**credentials, **query, **tls}
    if db:
        options["db"] = int(db)
    return RedisAddress(SENTINEL, url, _nodes(hosts, _SENTINEL_PORT), service, options, {**own, **tls})


def _cluster_address(url: str) -> RedisAddress:
    """redis+cluster://[user:password@]host[:port][,host[:port]]: some nodes are enough, they know the others."""
    scheme, credentials, hosts, path, query = _parts(url)
    if path not in {"", "0"}:
        raise ValueError("a Redis Cluster has only database 0")
    tls = {"ssl": True} if scheme.startswith("rediss") else {}
    return RedisAddress(CLUSTER, url, _nodes(hosts, _REDIS_PORT), "", {**credentials, **query, **tls})


def _without_protocol(url: str) -> str:
    """Which protocol is spoken is not the URL's to decide: pushes of RESP3 would be taken for replies."""
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in options if key != "protocol"]
    return url if len(kept) == len(options) else parts._replace(query=urlencode(kept)).geturl()


def _parts(url: str) -> tuple[str, dict[str, Any], str, str, dict[str, Any]]:
    parts = urlsplit(_without_protocol(url))
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    credentials = {"username": unquote(username), "password": unquote(password)}
    return (
        parts.scheme,
        {key: value for key, value in credentials.items() if value},
        hosts,
        parts.path.strip("/"),
        dict(parse_qsl(parts.query)),
    )


def _nodes(hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for part in filter(None, hosts.split(",")):
        host, _, port = part.rpartition(":") if ":" in part and not part.endswith("]") else (part, "", "")
        nodes.append((host.strip("[]"), int(port) if port else default_port))
    if not nodes:
        raise ValueError("name at least one host")
    return tuple(nodes)
