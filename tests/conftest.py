"""Fixtures for every room: real servers, a line that can be cut, and a clean process before and after each test."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import hypothesis
import pytest
import redis
from opentelemetry import trace
from playwright.sync_api import Browser, BrowserContext, Page

from spanflow.span_processors import native
from tests.support import child
from tests.support.browser import new_context, running_browser
from tests.support.leaks import Held, wait_until_gone
from tests.support.native_core import require_everywhere
from tests.support.otel_globals import reset_otel_globals
from tests.support.page_problems import PageProblems
from tests.support.postgres_server import PostgresServer
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer

FAILED = pytest.StashKey[bool]()
INTERRUPTED = pytest.StashKey[bool]()

# No deadlines: how fast an example runs says nothing on a busy machine. CI tries the same examples every time, so that
# a red run is about the change; everybody else's runs keep searching.
hypothesis.settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ, print_blob=True)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--native",
        choices=["off", "require"],
        default="off",
        help="require: whatever does not name a mode requires the native core, and a fault of it fails the test",
    )


def pytest_configure(config: pytest.Config) -> None:
    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt(f"signal {number}")

    # `timeout` and CI end a run with SIGTERM: fixtures must get to stop their servers then as well.
    signal.signal(signal.SIGTERM, interrupted)
    config.pluginmanager.register(Interruption(config))
    for name in [name for name in os.environ if name.startswith(("SPANFLOW_", "OTEL_"))]:
        del os.environ[name]
    if config.getoption("--native") == "require":
        require_everywhere()


@pytest.fixture(autouse=True)
def the_core_does_not_fail() -> Iterator[None]:
    """After a fault Python would serve, and the rest of a run with `--native=require` would say nothing."""
    yield
    assert native.faults() == 0


class Interruption:
    """Remembers that the run was told to stop: then nothing is judged any more, only cleaned up."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_keyboard_interrupt(self) -> None:
        self._config.stash[INTERRUPTED] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, an open file or socket, or a child process behind.

    `@pytest.mark.may_leak("why")` lets a test be.
    """
    before = Held.now()
    yield
    marker = request.node.get_closest_marker("may_leak")
    if marker is not None:
        if not marker.args:
            pytest.fail("may_leak needs the reason as its argument", pytrace=False)
        return
    if request.node.stash.get(FAILED, False) or request.config.stash.get(INTERRUPTED, False):
        return  # its traceback keeps things alive; the failure itself is the news
    leaked = wait_until_gone(before)
    if leaked:
        pytest.fail(f"this test leaves behind:\n{leaked}", pytrace=False)


@pytest.fixture(autouse=True)
def fresh_otel(leaves_nothing_behind: None) -> Iterator[None]:
    """No global provider and no current span, before and after."""
    reset_otel_globals()
    assert not trace.get_current_span().get_span_context().is_valid, "an earlier test left its span current"
    yield
    reset_otel_globals()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """`@pytest.mark.anyio` runs coroutine tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A folder that the servers' user can reach, unlike pytest's own when the run is root's."""
    path = Path(tempfile.mkdtemp(prefix="spanflow-tests-"))
    path.chmod(0o755)
    child.give_to_server(path)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_server_directory(server_directory: Path) -> Iterator[Callable[[], Path]]:
    """Makes folders for a test's own servers; they go when the test ends."""
    made: list[Path] = []

    def make() -> Path:
        path = Path(tempfile.mkdtemp(dir=server_directory))
        path.chmod(0o755)
        made.append(path)
        return path

    yield make
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_redis(server_directory: Path) -> Iterator[RedisServer]:
    directory = server_directory / "redis"
    directory.mkdir()
    server = RedisServer(directory).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_postgres(server_directory: Path) -> Iterator[PostgresServer]:
    directory = server_directory / "postgres"
    directory.mkdir()
    # Nobody kills it, so it need not survive that: a new database takes a quarter of the time.
    quick = ("-c", "full_page_writes=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0")
    server = PostgresServer(directory, *quick).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The run's Redis, empty."""
    client = redis.Redis.from_url(shared_redis.url)
    try:
        client.flushall()
    finally:
        client.close()
    return shared_redis.url


@pytest.fixture
def redis_server(new_server_directory: Callable[[], Path]) -> Iterator[RedisServer]:
    """A Redis of this test's own, to stop, start, kill and pause; it remembers across a kill."""
    server = RedisServer(new_server_directory(), durable=True).start()
    yield server
    server.kill()


@pytest.fixture
def postgres_server(new_server_directory: Callable[[], Path]) -> Iterator[PostgresServer]:
    """An empty PostgreSQL of this test's own, to stop, start and kill."""
    server = PostgresServer(new_server_directory()).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def migrated_template(shared_postgres: PostgresServer) -> str:
    """The name of a database with today's schema in it, to be cloned."""
    from spanflow.migrations.run import upgrade

    shared_postgres.execute("CREATE DATABASE migrated")
    upgrade(shared_postgres.dsn("migrated"))
    return "migrated"


_numbers = count(1)


@pytest.fixture
def empty_postgres_dsn(shared_postgres: PostgresServer) -> Iterator[str]:
    """A database of this test's own with nothing in it."""
    yield from _database(shared_postgres, "template1")


@pytest.fixture
def postgres_dsn(shared_postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A database of this test's own with today's schema in it."""
    yield from _database(shared_postgres, migrated_template)


def _database(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield server.dsn(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def proxy() -> Iterator[Callable[[str], TcpProxy]]:
    """Makes proxies: `proxy(redis_url)` stands before that server and has a `url` of its own."""
    with ExitStack() as stack:
        yield lambda upstream: stack.enter_context(TcpProxy(upstream))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for one module. Its thread runs an event loop meanwhile: no coroutine tests in such a module."""
    with running_browser() as started:
        yield started


@pytest.fixture
def _opened(browser: Browser) -> Iterator[tuple[BrowserContext, PageProblems]]:
    with new_context(browser) as opened:
        yield opened


@pytest.fixture
def page(_opened: tuple[BrowserContext, PageProblems]) -> Page:
    """A fresh page. An error in its console, a request that fails or one to another host fails the test."""
    return _opened[0].new_page()


@pytest.fixture
def problems(_opened: tuple[BrowserContext, PageProblems]) -> PageProblems:
    """What the page has done wrong, to say what is expected of it."""
    return _opened[1]
