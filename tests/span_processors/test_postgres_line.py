"""The archive's connection: opened late, renewed when it breaks, bounded in time, the parent's alone after a fork."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from spanflow.span_processors.archive.postgres import UntracedConnection, connect
from spanflow.span_processors.archive.postgres_line import PostgresLine
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.sink import Unavailable
from tests.support.proxy import TcpProxy


async def answer(connection: UntracedConnection) -> int:
    found: int = await connection.fetchval("SELECT 42")
    return found


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def line_to(dsn: str) -> PostgresLine:
    return PostgresLine(lambda: connect(Settings(postgres_dsn=dsn), "test"))


@pytest.fixture
def line(empty_postgres_dsn: str) -> Iterator[PostgresLine]:
    made = line_to(empty_postgres_dsn)
    yield made
    made.close(soon())


def test_a_silent_server_costs_no_more_than_the_time_given(
    proxy: Callable[[str], TcpProxy], empty_postgres_dsn: str
) -> None:
    between = proxy(empty_postgres_dsn)
    line = line_to(between.url)
    assert line.run(answer, soon()) == 42
    between.half_open()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="no answer in time"):
        line.run(answer, soon(0.2))
    assert time.monotonic() - begun < 2
    between.restore()
    assert line.run(answer, soon()) == 42
    between.cut()
    with pytest.raises(Unavailable):
        line.run(answer, soon())
    line.close(soon())


def test_a_look_up_that_hangs_holds_up_no_end() -> None:
    answered = threading.Event()

    async def connect() -> UntracedConnection:
        await asyncio.get_running_loop().run_in_executor(None, answered.wait)
        raise OSError

    line = PostgresLine(connect)
    with pytest.raises(Unavailable, match="no answer in time"):
        line.run(answer, soon(0.1))
    closing = threading.Thread(target=line.close, args=(soon(0.1),))
    closing.start()
    closing.join(5)
    closed = not closing.is_alive()
    answered.set()
    closing.join(5)
    assert closed


def test_it_closes_while_the_interpreter_ends_and_no_thread_can_start(
    empty_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_to(empty_postgres_dsn.replace("127.0.0.1", "localhost"))  # a name is looked up in a thread
    assert line.run(answer, soon()) == 42

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")  # as Python 3.12 does

    monkeypatch.setattr(threading.Thread, "start", refused)
    line.close(soon())


def test_after_a_time_out_no_transaction_is_left_behind(line: PostgresLine) -> None:
    async def hang(connection: UntracedConnection) -> None:
        await connection.execute("BEGIN; SELECT pg_advisory_xact_lock(1)")
        await asyncio.sleep(60)

    async def lock(connection: UntracedConnection) -> None:
        await connection.execute("BEGIN; SELECT pg_advisory_xact_lock(1); COMMIT")

    with pytest.raises(Unavailable):
        line.run(hang, soon(0.3))
    line.run(lock, soon())


@pytest.mark.parametrize("ending", ["exit", "collected"])
def test_a_child_that_ends_leaves_the_parents_connection_alone(line: PostgresLine, ending: str) -> None:
    async def resolve(connection: UntracedConnection) -> int:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)  # wakes the loop from another thread
        return await answer(connection)

    assert line.run(resolve, soon()) == 42
    child = os.fork()
    if child == 0:
        code = 1
        try:
            inherited = line._loop
            assert inherited is not None
            line.after_fork()
            if ending == "collected":
                inherited.__del__()
            code = 0 if line.run(answer, soon()) == 42 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert line.run(resolve, soon(2.0)) == 42
