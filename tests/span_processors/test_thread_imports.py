"""Threads of ours import nothing: a fork in the middle would leave the child with a half made module."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.forked import in_child
from tests.support.ports import free_port
from tests.support.redis_topologies import redis_cluster, redis_with_sentinels
from tests.support.tls import make_certificate, tls_before
from tests.support.traced_gateway import TracedGateway

NO_SUCH_HOST = "bücher.invalid"


def imported(redis_url: str, postgres_dsn: str, data_dir: Path) -> list[str]:
    settings = {"redis_url": redis_url, "postgres_dsn": postgres_dsn, "data_dir": str(data_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.thread_imports", orjson.dumps(settings).decode()],
        capture_output=True,
        timeout=60,
        check=True,
    )
    told: list[str] = orjson.loads(done.stdout)
    return told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_is_imported_on_our_threads(host: str, redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    def named(url: str) -> str:
        return url.replace("127.0.0.1", host)

    assert imported(named(redis_url), named(postgres_dsn), tmp_path) == []


@pytest.mark.parametrize("host", ["127.0.0.1", NO_SUCH_HOST])
@pytest.mark.parametrize("kind", ["redis://{}", "rediss://{}", "redis+cluster://{}", "redis+sentinel://{}/flows"])
def test_nothing_is_imported_while_servers_are_away(kind: str, host: str, tmp_path: Path) -> None:
    address = f"{host}:{free_port()}"
    assert imported(kind.format(address), f"postgresql://user:secret@{address}/x?sslmode=require", tmp_path) == []


def test_nothing_is_imported_for_tls(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with tls_before(int(redis_url.rpartition(":")[2].partition("/")[0]), certificate, key) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"
        assert imported(url, postgres_dsn, tmp_path) == []


@pytest.mark.long
def test_nothing_is_imported_for_a_cluster(
    new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    with redis_cluster(new_server_directory) as servers:
        assert imported(f"redis+cluster://127.0.0.1:{servers[0].port}", postgres_dsn, tmp_path) == []


@pytest.mark.long
def test_nothing_is_imported_for_sentinels(
    new_server_directory: Callable[[], Path], postgres_dsn: str, tmp_path: Path
) -> None:
    with redis_with_sentinels(new_server_directory) as (_, _, ports):
        assert imported(f"redis+sentinel://127.0.0.1:{ports[0]}/flows", postgres_dsn, tmp_path) == []


class ImportingHandler(logging.Handler):
    """An application's own: what it imports, it imports on our thread."""

    def emit(self, record: logging.LogRecord) -> None:
        import imported_by_a_handler  # type: ignore[import-not-found]  # noqa: F401


SLOW_MODULE = """
import builtins
builtins.slow_import.set()
builtins.import_may_end.wait(20)
READY = True
"""


@contextmanager
def slow_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A module to import as `imported_by_a_handler`, the event that says that this has begun, and that ends it."""
    import builtins

    (folder / "imported_by_a_handler.py").write_text(SLOW_MODULE)
    begun, may_end = threading.Event(), threading.Event()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(builtins, "slow_import", begun, raising=False)
    monkeypatch.setattr(builtins, "import_may_end", may_end, raising=False)
    yield begun, may_end
    may_end.set()
    sys.modules.pop("imported_by_a_handler", None)


def test_a_fork_waits_until_a_module_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = ImportingHandler()
    logger = logging.getLogger("spanflow")
    with (
        slow_module(tmp_path, monkeypatch) as (begun, may_end),
        TracedGateway(f"redis://127.0.0.1:{free_port()}", counted_ids=False) as gateway,
    ):
        logger.addHandler(handler)
        try:
            with gateway.span("POST /ask"):
                pass
            assert begun.wait(10), "Redis is away, and the log says so on a thread of ours"
            threading.Timer(0.1, may_end.set).start()

            def life() -> Any:
                import imported_by_a_handler as module

                return module.READY

            assert in_child(life, within=10) is True
        finally:
            logger.removeHandler(handler)


def test_a_fork_waits_no_longer_than_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = ImportingHandler()
    logger = logging.getLogger("spanflow")
    with (
        slow_module(tmp_path, monkeypatch) as (begun, may_end),
        TracedGateway(f"redis://127.0.0.1:{free_port()}", counted_ids=False) as gateway,
    ):
        logger.addHandler(handler)
        try:
            with gateway.span("POST /ask"):
                pass
            assert begun.wait(10)
            assert in_child(os.getpid) != os.getpid()
            assert not may_end.is_set()
        finally:
            may_end.set()
            logger.removeHandler(handler)
