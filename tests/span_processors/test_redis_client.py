"""Every form of Redis URL gives a client with small timeouts and no retries."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError

from spanflow.span_processors.redis.redis_client import RedisAddress, async_client, sync_client
from spanflow.span_processors.redis.redis_link import link_to
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer

FORMS: dict[str, Any] = {
    "redis://user:p%40ss@host:1/2": ("single", (), "", {}, {}),
    "rediss://host": ("single", (), "", {}, {}),
    "unix:///run/redis.sock?db=3": ("single", (), "", {}, {}),
    "redis+sentinel://user:p%40ss@h1:1,h2/service/3?sentinel_password=x": (
        "sentinel",
        (("h1", 1), ("h2", 26379)),
        "service",
        {"username": "user", "password": "p@ss", "db": 3},
        {"password": "x"},
    ),
    "rediss+cluster://h1:7000,[::1]:7001": ("cluster", (("h1", 7000), ("::1", 7001)), "", {"ssl": True}, {}),
}


@pytest.mark.parametrize(("url", "expected"), FORMS.items())
def test_forms_that_are_understood(url: str, expected: Any) -> None:
    address = RedisAddress.parse(url)
    found = (address.kind, address.nodes, address.service, dict(address.options), dict(address.sentinel_options))
    assert found == expected


@pytest.mark.parametrize(
    "url", ["redis+sentinel://secret@host", "redis+cluster://secret@host/3", "redis+cluster://", "redis://h:port"]
)
def test_forms_that_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        RedisAddress.parse(url)
    assert "SPANFLOW_REDIS_URL" in str(refused.value) and "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["redis://h:1/2?protocol=3&db=3", "redis+sentinel://h:1/service?protocol=3", "rediss+cluster://h:1?protocol=3"],
)
def test_the_protocol_is_not_the_urls_to_decide(url: str) -> None:
    address = RedisAddress.parse(url)
    assert "protocol" not in address.options and (address.kind != "single" or address.url == "redis://h:1/2?db=3")


def test_what_a_server_pushes_is_taken_for_no_reply(redis_url: str) -> None:
    link: Any = link_to(Settings(redis_url=f"{redis_url}?protocol=3"))

    def replies(*commands: tuple[bytes, ...]) -> list[Any]:
        made = link.commands()
        for words in commands:
            made.add(*words)
        return list(link.execute(made, time.monotonic() + 5))

    other: Any = redis.Redis.from_url(redis_url, single_connection_client=True)
    try:
        (ours,) = replies((b"CLIENT", b"ID"))
        other.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", ours, "BCAST")
        for number in range(3):
            assert replies((b"SET", b"key", b"%d" % number), (b"ECHO", b"%d" % number)) == [b"OK", b"%d" % number]
    finally:
        other.close()
        link.close()


def test_a_silent_server_costs_one_timeout(proxy: Callable[[str], TcpProxy], redis_url: str) -> None:
    line = proxy(redis_url)
    line.half_open()
    settings = Settings(redis_url=line.url, redis_timeout=0.2)
    client: Any = sync_client(settings)
    begun = time.monotonic()
    with pytest.raises(RedisError):
        client.ping()
    client.close()

    async def ask() -> None:
        other: Any = async_client(settings)
        with pytest.raises(RedisError):
            await other.ping()
        await other.aclose()

    asyncio.run(ask())
    assert time.monotonic() - begun < 1.5


def test_over_a_unix_socket(new_server_directory: Callable[[], Any]) -> None:
    directory = new_server_directory()
    server = RedisServer(directory, "--unixsocket", f"{directory}/r.sock", "--unixsocketperm", "777").start()
    client: Any = sync_client(Settings(redis_url=f"unix://{directory}/r.sock"))

    def answers() -> bool:
        try:
            return bool(client.ping())
        except RedisError:
            return False  # it listens on its port a moment earlier

    eventually(answers)
    client.close()
    server.kill()


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://h/service"])
def test_answers_have_one_shape_in_every_version_of_the_library(url: str) -> None:
    client: Any = sync_client(Settings(redis_url=url))
    options = client.connection_pool.connection_kwargs
    assert options["protocol"] == 2
    assert isinstance(client, redis.Redis)
    client.close()
