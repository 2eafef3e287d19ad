"""The test suite's own tools."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import asyncpg
import pytest
import redis

from tests.support.leaks import Held, wait_until_gone
from tests.support.poll import eventually, eventually_async
from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer

Proxies = Callable[[str], TcpProxy]


def client_of(url: str, timeout: float = 2.0) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=timeout, retry=None, decode_responses=True)


def test_a_test_finds_redis_empty(redis_url: str) -> None:
    with client_of(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_what_another_test_wrote_to_redis_is_gone(redis_url: str) -> None:
    with client_of(redis_url) as client:
        assert client.get("left") is None


@pytest.mark.anyio
async def test_every_test_has_a_database_of_its_own(empty_postgres_dsn: str) -> None:
    connection = await asyncpg.connect(empty_postgres_dsn)
    await connection.execute("CREATE TABLE mine (id int)")
    assert await connection.fetchval("SELECT count(*) FROM mine") == 0
    await connection.close()


def test_a_proxy_forwards_and_counts(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    with client_of(line.url) as client:
        client.set("through", "the proxy")
        assert client.get("through") == "the proxy"
        assert (line.accepted, line.open) == (1, 1)
    eventually(lambda: line.open == 0)


def test_a_cut_line_refuses_until_it_is_restored(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    with client_of(line.url) as client:
        client.ping()
        line.cut()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        line.restore()
        assert client.ping()


def test_dropped_connections_can_be_made_again(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    with client_of(line.url) as client:
        client.ping()
        line.drop_connections()
        eventually(lambda: line.open == 0)
        assert eventually(client.ping)
        assert line.accepted == 2


def test_a_half_open_line_is_silent_until_it_is_restored(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    line.half_open()
    with client_of(line.url, timeout=0.2) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
        line.restore()
        assert client.ping()


def test_a_delayed_answer_comes_later(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    with client_of(line.url) as client:
        client.ping()
        line.delay(0.15)
        began = time.monotonic()
        client.ping()
        assert time.monotonic() - began >= 0.15


def test_a_dripping_line_lets_answers_trickle(redis_url: str, proxy: Proxies) -> None:
    line = proxy(redis_url)
    with client_of(line.url) as client:
        client.set("long", "x" * 400)
        line.drip(2000)
        began = time.monotonic()
        assert client.get("long") == "x" * 400
        assert time.monotonic() - began >= 0.15


def test_a_killed_redis_remembers(redis_server: RedisServer) -> None:
    with client_of(redis_server.url) as client:
        client.set("kept", "yes")
    redis_server.kill()
    redis_server.start()
    with client_of(redis_server.url) as client:
        assert client.get("kept") == "yes"


def test_a_killed_postgres_remembers_and_starts_on_the_same_port(postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE TABLE kept (id int)")
    port = postgres_server.port
    postgres_server.kill()
    postgres_server.start()
    postgres_server.execute("INSERT INTO kept VALUES (1)")
    postgres_server.stop()
    postgres_server.start()
    assert postgres_server.port == port


def test_polling_returns_what_it_waited_for() -> None:
    answers = iter([0, "", None, "here"])
    assert eventually(lambda: next(answers)) == "here"


def test_polling_ends_with_the_last_assertion() -> None:
    def check() -> bool:
        assert 1 + 1 == 3, "arithmetic holds"
        return True

    with pytest.raises(AssertionError, match="arithmetic holds"):
        eventually(check, within=0.05)
    with pytest.raises(AssertionError, match="still 0 after"):
        eventually(lambda: 0, within=0.05)


@pytest.mark.anyio
async def test_polling_takes_coroutines() -> None:
    answers = iter([False, True])

    async def check() -> bool:
        return next(answers)

    assert await eventually_async(check)


def test_a_left_thread_socket_and_child_are_named() -> None:
    before = Held.now()
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="forgotten")
    thread.start()
    sock = socket.socket()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        leaked = wait_until_gone(before, within=0.05)
        assert "thread «forgotten»" in leaked
        if os.path.isdir("/proc/self/fd"):
            assert f"file descriptor {sock.fileno()} → socket:" in leaked
            assert f"child process {child.pid}: {sys.executable}" in leaked
    finally:
        go_on.set()
        thread.join()
        sock.close()
        child.communicate(b"\n")
    assert wait_until_gone(before) == ""
