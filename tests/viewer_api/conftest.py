"""A running viewer over real servers, and flows to look at."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.otlp.grpc_server import keep_poller
from tests.support.alerts import LOCAL, Clock, Moments
from tests.support.archives import archives_in, deliver
from tests.support.flow_writer import FlowWriter
from tests.support.go_tools import jaeger
from tests.support.jaeger_pair import Pair
from tests.support.jaeger_server import RunningJaeger, running_jaeger
from tests.support.query import script
from tests.support.viewer_server import RunningViewer, running_viewer
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

MakeViewer = Callable[..., RunningViewer]
MakeFlow = Callable[..., FlowWriter]
Store = Callable[..., None]


@pytest.fixture
def make_viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[MakeViewer]:
    """Starts viewers with changed settings: `make_viewer(viewer_session_hours=0.01)`."""
    with ExitStack() as stack:

        def make(dsn: str = postgres_dsn, url: str = redis_url, **changes: Any) -> RunningViewer:
            return stack.enter_context(running_viewer(dsn, url, tmp_path, **changes))

        yield make


@pytest.fixture
def viewer(make_viewer: MakeViewer) -> RunningViewer:
    return make_viewer()


@pytest.fixture
def make_flow(redis_url: str) -> Iterator[MakeFlow]:
    """Starts flows that run: `make_flow("7")`."""
    with ExitStack() as stack:

        def make(user_id: str | None = "7", url: str = redis_url, **options: Any) -> FlowWriter:
            return stack.enter_context(FlowWriter(url, user_id, **options))

        yield make


@pytest.fixture
def store(postgres_dsn: str, tmp_path: Path) -> Store:
    """Puts flows into Postgres as a gateway does."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )

    def put(*parts: FlowPart) -> None:
        with archives_in(postgres_dsn, tmp_path / "archive") as archives:
            assert deliver(archives.make(), *parts).delivered == len(parts)

    return put


def of(session_id: str | None, user_id: str = "7", **more: Any) -> dict[str, Any]:
    """Whose a flow part is."""
    return {"identity": Identity(user_id=user_id, session_id=session_id, source="web", **more)}


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(make_viewer: MakeViewer, clock: Clock) -> tuple[RunningViewer, Moments]:
    """A viewer whose rules are evaluated when a test moves its clock."""
    viewer = make_viewer(alert_seconds=0.1, clock=clock, **LOCAL)
    return viewer, Moments(viewer, clock)


@pytest.fixture(scope="module")
def real_jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJaeger]:
    with running_jaeger(jaeger(), tmp_path_factory.mktemp("jaeger")) as running:
        yield running


@pytest.fixture
def pair(
    real_jaeger: RunningJaeger, make_viewer: MakeViewer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pair]:
    """A real Jaeger and a viewer that are sent the same."""
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")
    monkeypatch.setenv("SPANFLOW_CONTENT", "full")
    viewer = make_viewer()
    with (
        httpx.Client(base_url=real_jaeger.otlp, timeout=15) as otlp,
        httpx.Client(base_url=real_jaeger.query, timeout=15) as client,
    ):
        yield Pair(otlp, client, viewer.http, postgres_dsn)


@pytest.fixture(scope="module")
def grpc_poller() -> None:
    """It stays until the process ends, so no test leaves it behind."""

    async def on_a_loop() -> None:
        keep_poller()

    asyncio.run(on_a_loop())


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Received flows are handed over soon after their last span."""
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")
