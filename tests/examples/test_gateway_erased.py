"""A person is erased while a gateway still has flows of theirs: on its disk, or running. None of them comes back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.examples.conftest import FOLDER
from tests.support.everything_recorded import keys_of, rows_of
from tests.support.example_visitor import Visitor
from tests.support.gateway_process import gateway_process
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query, value
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer

Traced = Callable[..., str]
FLOWS = "SELECT session_id FROM omni2.interaction_flows WHERE checkpoint_count > 0 ORDER BY started_at"


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer:
        yield viewer


def erase(viewer: RunningViewer, *options: str) -> str:
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    done = spanflow("erase", "1", "--yes", "--reason", "request 4711", *options, **there)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def traced(redis_url: str, tmp_path: Path) -> Iterator[Traced]:
    """The URL of the example gateway under tracing, with `data` as its folder."""
    with ExitStack() as stack:

        def start(dsn: str, **settings: str) -> str:
            environment = {
                "SPANFLOW_ENABLED": "true",
                "SPANFLOW_REDIS_URL": redis_url,
                "SPANFLOW_POSTGRES_DSN": dsn,
                "SPANFLOW_DATA_DIR": str(tmp_path / "data"),
                "SPANFLOW_FLOW_GRACE": "0.3",
                "SPANFLOW_POSTGRES_TIMEOUT": "1",
                "SPANFLOW_SPOOL_RESERVE_BYTES": "0",
                "EXAMPLE_GATEWAY_PACE": "0.02",
                **settings,
            }
            words = ("opentelemetry-instrument", "uvicorn", "example_gateway.app:app", "--port", "{port}")
            gateway = gateway_process(words, tmp_path / "log", environment, python_path=[FOLDER])
            return stack.enter_context(gateway).url

        yield start


@pytest.mark.parametrize("in_redis", [True, False], ids=["also in Redis", "in the spool alone"])
def test_a_replayed_spool_does_not_bring_an_erased_person_back(
    traced: Traced,
    viewer: RunningViewer,
    postgres_dsn: str,
    redis_url: str,
    proxy: Callable[[str], TcpProxy],
    tmp_path: Path,
    in_redis: bool,
) -> None:
    line = proxy(postgres_dsn)
    line.cut()
    url = traced(line.url)
    ann, ben = Visitor(url, "demo-ann", "s-ann"), Visitor(url, "demo-ben", "s-ben")
    for visitor in (ann, ben):
        assert visitor.ask("status of job 42?")[0] == 200
    eventually(
        lambda: all(session in written(tmp_path / "data" / "spool") for session in (b"s-ann", b"s-ben")), within=30
    )
    if in_redis:
        erase(viewer)
    else:
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        erase(viewer, "--allow-unknown")
    line.restore()
    eventually(lambda: query(postgres_dsn, FLOWS) == [{"session_id": "s-ben"}], within=60)
    eventually(lambda: b"s-ann" not in written(tmp_path / "data"), within=30)
    assert "s-ann" not in rows_of(postgres_dsn)
    assert "s-ann" not in keys_of(redis_url)
    assert query(postgres_dsn, FLOWS) == [{"session_id": "s-ben"}]
    # What she asks from now on is recorded as before.
    assert ann.ask("status of job 42?")[0] == 200
    eventually(lambda: query(postgres_dsn, FLOWS) == [{"session_id": "s-ben"}, {"session_id": "s-ann"}], within=30)


def test_a_flow_that_runs_while_its_user_is_erased_is_not_archived(
    traced: Traced, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    url = traced(postgres_dsn, EXAMPLE_GATEWAY_PACE="0.3")
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(Visitor(url, "demo-ann", "s-ann").ask("status of job 42?")[0])
    )
    asking.start()
    eventually(lambda: viewer.get("/api/v1/flows?user_id=1&outcome=running")["flows"] != [], within=30)
    assert "running flows (1)" in erase(viewer)
    asking.join(60)
    assert answers == [200]
    assert Visitor(url, "demo-ben", "s-ben").ask("status of job 42?")[0] == 200
    eventually(lambda: query(postgres_dsn, FLOWS) == [{"session_id": "s-ben"}], within=30)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '1'") == 0
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.user_activities WHERE user_id = '1'") == 0
    assert b"s-ann" not in written(tmp_path / "data")
