"""A Redis Cluster and a Redis with Sentinels, out of the one redis-server there is."""

import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.support import child
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port
from tests.support.redis_server import RedisServer, executable

_SLOTS = 16384
#: A cluster node listens on its port and, for the others, on this much more.
_BUS = 10_000


@contextmanager
def redis_cluster(new_directory: Callable[[], Path], masters: int = 3) -> Iterator[list[RedisServer]]:
    """Masters first, then a replica for each."""
    with ExitStack() as stack:
        servers = []
        for _ in range(masters * 2):
            directory = new_directory()
            server = RedisServer(
                directory,
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "1000",
                "--repl-diskless-sync-delay",
                "0",
            )
            server.port = _port_with_bus()
            stack.callback(server.kill)
            servers.append(server.start())
        clients = [_client(server) for server in servers]
        share = _SLOTS // masters
        for index, client in enumerate(clients[:masters]):
            last = _SLOTS if index == masters - 1 else (index + 1) * share
            client.execute_command("CLUSTER", "ADDSLOTS", *range(index * share, last))
        for client in clients[1:]:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        for client in clients:
            eventually(lambda client=client: _info(client)["cluster_known_nodes"] == str(masters * 2), within=20)  # type: ignore[misc]
        ids = [_text(client.execute_command("CLUSTER", "MYID")) for client in clients]
        for index, client in enumerate(clients[masters:]):
            eventually(lambda client=client, index=index: _replicates(client, ids[index]), within=20)  # type: ignore[misc]
        for client in clients:
            eventually(lambda client=client: _info(client)["cluster_state"] == "ok", within=20)  # type: ignore[misc]
            client.close()
        yield servers


@contextmanager
def redis_with_sentinels(
    new_directory: Callable[[], Path], sentinels: int = 3
) -> Iterator[tuple[RedisServer, RedisServer, list[int]]]:
    """A master, its replica, and the ports of Sentinels that watch the service `flows`."""
    with ExitStack() as stack:
        master = RedisServer(new_directory()).start()
        stack.callback(master.kill)
        replica = RedisServer(new_directory(), "--replicaof", "127.0.0.1", str(master.port)).start()
        stack.callback(replica.kill)
        ports = []
        for _ in range(sentinels):
            directory = new_directory()
            child.give_to_server(directory)
            port = free_port()
            settings = directory / "sentinel.conf"
            settings.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
                f"sentinel monitor flows 127.0.0.1 {master.port} 2\n"
                "sentinel down-after-milliseconds flows 500\nsentinel failover-timeout flows 2000\n"
            )
            settings.chmod(0o666)
            process = child.start(
                [_reachable_binary(directory), settings, "--sentinel"], directory / "log", cwd=directory
            )
            stack.callback(_end, process)
            eventually(lambda port=port: accepts(port), within=15)  # type: ignore[misc]
            ports.append(port)
        for port in ports:
            eventually(lambda port=port: _knows(port, sentinels), within=20)  # type: ignore[misc]
        yield master, replica, ports


def _options(*settings: str) -> list[str]:
    return [word for setting in settings for word in f"--{setting}".split()]


def _reachable_binary(directory: Path) -> Path:
    binary = executable()
    if child.reachable(binary):
        return binary
    copy = directory / "redis-server"
    shutil.copy2(binary, copy)
    return copy


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(timeout=10)


def _knows(port: int, sentinels: int) -> bool:
    client: Any = redis.Redis(port=port)
    try:
        about = client.sentinel_master("flows")
        return bool(about["num-other-sentinels"] == sentinels - 1 and about["num-slaves"] == 1)
    finally:
        client.close()


def _client(server: RedisServer) -> Any:
    return redis.Redis.from_url(server.url)


def _info(client: Any) -> dict[str, str]:
    text = client.execute_command("CLUSTER", "INFO")
    if isinstance(text, dict):
        return text
    return dict(line.split(":", 1) for line in _text(text).split("\r\n") if ":" in line)


def _replicates(client: Any, master: str) -> bool:
    try:
        client.execute_command("CLUSTER", "REPLICATE", master)
    except redis.ResponseError:
        return False
    return True


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _port_with_bus() -> int:
    """A port whose bus port is free as well. Below those that the system gives out by itself."""
    while True:
        port = random.randrange(15_000, 22_000)
        try:
            for number in (port, port + _BUS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port
