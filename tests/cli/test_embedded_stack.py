"""The embedded servers: durable over restarts and kills, one owner, private, and gone when they should be."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import redis

from spanflow.cli import launcher
from spanflow.cli.account import PrivateFolder
from spanflow.cli.data_directory import DataDirectoryInUse
from tests.support.embedded_stack import EmbeddedStack
from tests.support.poll import eventually

ROOT = Path(__file__).parents[2]
OWN_STACK = [sys.executable, "-m", "tests.cli.programs.own_stack"]
NewDirectory = Callable[[], Path]


@pytest.fixture
def data(new_server_directory: NewDirectory) -> Path:
    return new_server_directory() / "data"


def ask(dsn: str, *statements: str) -> list[object]:
    async def run() -> list[object]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(run())


def remember(stack: EmbeddedStack, word: str) -> None:
    ask(stack.postgres.dsn, "CREATE TABLE IF NOT EXISTS kept (word text)", f"INSERT INTO kept VALUES ('{word}')")
    with redis.Redis.from_url(stack.redis.url) as client:
        client.rpush("kept", word)


def remembered(stack: EmbeddedStack) -> tuple[object, list[bytes]]:
    [words] = ask(stack.postgres.dsn, "SELECT array_agg(word) FROM kept")
    with redis.Redis.from_url(stack.redis.url) as client:
        return words, client.lrange("kept", 0, -1)


@contextmanager
def another_owner(data: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that owns the stack, and the numbers of its servers."""
    process = subprocess.Popen([*OWN_STACK, data], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, [int(word) for word in process.stdout.readline().split()]
    finally:
        process.kill()
        process.communicate()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if launcher.identity(pid) is not None]


def test_data_survives_a_restart(data: Path) -> None:
    with EmbeddedStack(data) as stack:
        remember(stack, "one")
    with EmbeddedStack(data) as stack:
        remember(stack, "two")
        assert remembered(stack) == (["one", "two"], [b"one", b"two"])


def test_servers_that_crash_recover_with_the_next_start(data: Path) -> None:
    with EmbeddedStack(data) as stack:
        remember(stack, "one")
        for child in (stack.postgres.child, stack.redis.child):
            assert child.pid is not None
            os.killpg(child.pid, signal.SIGKILL)
    with EmbeddedStack(data) as stack:
        assert remembered(stack) == (["one"], [b"one"])


def test_stopping_leaves_no_process_and_no_socket(data: Path) -> None:
    with EmbeddedStack(data, durable=False) as stack:
        pids = [pid for child in (stack.postgres.child, stack.redis.child) if (pid := child.pid)]
        assert len(alive(pids)) == 2
    assert alive(pids) == []
    assert list((data / "run").iterdir()) == []
    assert list((data / "records").iterdir()) == []


def test_a_killed_owner_leaves_no_orphan_no_stale_lock_and_loses_nothing(data: Path) -> None:
    with EmbeddedStack(data) as stack:
        remember(stack, "one")
    with another_owner(data) as (owner, pids):
        assert len(alive(pids)) == 2
        owner.kill()
        owner.wait()
        with EmbeddedStack(data) as stack:
            assert alive(pids) == []
            assert remembered(stack) == (["one"], [b"one"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_servers_of_a_killed_owner_end_without_another_start(data: Path) -> None:
    with another_owner(data) as (owner, pids):
        owner.kill()
        owner.wait()
        eventually(lambda: not alive(pids), within=15)


def test_an_orphan_that_does_not_notice_is_ended_by_the_next_start(data: Path) -> None:
    """As where the system cannot tell a child that its parent died: here it is asleep when that happens."""
    with another_owner(data) as (owner, pids):
        redis_pid = pids[1]
        os.kill(redis_pid, signal.SIGSTOP)
        owner.kill()
        owner.wait()
        assert alive([redis_pid]) == [redis_pid]
        os.kill(redis_pid, signal.SIGCONT)
        with EmbeddedStack(data, durable=False):
            assert alive(pids) == []


def test_the_second_owner_is_told_who_the_first_is(data: Path) -> None:
    with another_owner(data) as (owner, _), pytest.raises(DataDirectoryInUse) as refusal:
        EmbeddedStack(data).start()
    message = str(refusal.value)
    assert message.startswith(f"The data directory {data} is in use by process {owner.pid} (own_stack, since ")
    assert message.endswith(f"End that one first (kill {owner.pid}), or set SPANFLOW_DATA_DIR to another folder.")


def test_a_copy_of_a_data_directory_leaves_the_originals_servers_alone(
    data: Path, new_server_directory: NewDirectory
) -> None:
    with EmbeddedStack(data) as stack:
        remember(stack, "one")
        copy = new_server_directory() / "copy"
        subprocess.run(["cp", "-a", data, copy], check=True, stderr=subprocess.DEVNULL)
        with EmbeddedStack(copy, durable=False) as other:
            assert remembered(other)[0] == ["one"]
        assert remembered(stack)[0] == ["one"]


def test_a_lock_file_of_postgres_that_names_a_stranger_does_not_block(data: Path) -> None:
    with EmbeddedStack(data, durable=False):
        pass
    # A container that restarts often gives an old number to somebody else; here to this test.
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}/postgres\n1\n5432\n\n\n1 1\nready\n")
    with EmbeddedStack(data, durable=False) as stack:
        assert ask(stack.postgres.dsn, "SELECT 1") == [1]


def test_a_cluster_that_was_left_half_made_is_made_again(data: Path) -> None:
    unfinished = data / "postgres.new"
    unfinished.mkdir(parents=True)
    data.chmod(0o755)
    (unfinished / "PG_VERSION").write_text("18")
    with EmbeddedStack(data, durable=False) as stack:
        assert ask(stack.postgres.dsn, "SELECT 1") == [1]


def test_nobody_else_may_enter_and_nothing_listens_on_a_port(data: Path) -> None:
    with EmbeddedStack(data, durable=False) as stack:
        for folder in (data / "run", data / "postgres", data / "redis", data / "logs", data / "records"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        assert ask(stack.postgres.dsn, "SHOW listen_addresses") == [""]
        with redis.Redis.from_url(stack.redis.url) as client:
            assert client.config_get("port") == {"port": "0"}


def test_a_deep_data_directory_still_gets_sockets_with_short_names(new_server_directory: NewDirectory) -> None:
    deep = new_server_directory() / ("long-name-" * 12)
    with EmbeddedStack(deep, durable=False) as stack:
        assert ask(stack.postgres.dsn, "SELECT 1") == [1]
        with redis.Redis.from_url(stack.redis.url) as client:
            assert client.ping()
        sockets = stack.directory.sockets(stack.account)
        assert not sockets.is_relative_to(deep)
    shutil.rmtree(sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_root_is_told_that_a_private_folder_cannot_hold_the_data(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(PrivateFolder, match="a private folder that the user .* cannot enter.*SPANFLOW_DATA_DIR"):
        EmbeddedStack(tmp_path / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_roots_servers_do_not_run_as_root(data: Path) -> None:
    with EmbeddedStack(data, durable=False) as stack:
        owners = {Path(f"/proc/{child.pid}").stat().st_uid for child in (stack.postgres.child, stack.redis.child)}
        assert owners == {stack.account.uid} != {0}
