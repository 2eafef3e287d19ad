"""A viewer with its dashboard, a gateway in this process, and a browser that is signed in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from playwright.sync_api import Page, expect

from spanflow.instrumentation.identity_processor import IdentitySpanProcessor
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings
from tests.support.checkout import ROOT
from tests.support.proxy import TcpProxy
from tests.support.viewer_server import RunningViewer, running_viewer

_DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@pytest.fixture
def line(redis_url: str, proxy: Callable[[str], TcpProxy]) -> TcpProxy:
    """The line between the viewer and Redis."""
    return proxy(redis_url)


@pytest.fixture
def viewer(postgres_dsn: str, line: TcpProxy, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, line.url, tmp_path / "viewer", dashboard=_DASHBOARD) as running:
        yield running


@pytest.fixture
def gateway(fresh_otel: None, viewer: RunningViewer, redis_url: str, tmp_path: Path) -> Iterator[Pipeline]:
    """This process as a gateway, by nothing but the span processors."""
    pipeline = build_pipeline(
        Settings(
            redis_url=redis_url,
            postgres_dsn=viewer.settings.postgres_dsn,
            data_dir=str(tmp_path / "gateway"),
            flow_grace=0.05,
        )
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(IdentitySpanProcessor())
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    trace.set_tracer_provider(provider)
    yield pipeline
    provider.shutdown()


@pytest.fixture
def signed_in(page: Page, viewer: RunningViewer) -> Iterator[Page]:
    """The page as somebody sees it who has opened the printed link."""
    code = viewer.post("/api/v1/session/codes")["code"]
    page.goto(f"{viewer.origin}/#code={code}")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert code not in page.url
    yield page
    page.goto("about:blank")  # the viewer goes first, and a page that misses it would say so
