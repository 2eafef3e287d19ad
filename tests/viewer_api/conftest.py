"""A running viewer over real servers, and flows to look at."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.flow_writer import FlowWriter
from tests.support.viewer_server import RunningViewer, running_viewer

MakeViewer = Callable[..., RunningViewer]
MakeFlow = Callable[..., FlowWriter]


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
