"""What the browser tests of the dashboard have in common: a gateway in this process, and somebody who is signed in."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from playwright.sync_api import Page, expect

from spanflow.instrumentation.runtime import install
from spanflow.instrumentation.startup import record
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.settings import Settings
from tests.support.archives import archives_in, deliver
from tests.support.checkout import ROOT
from tests.support.viewer_server import RunningViewer

DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@contextmanager
def gateway_pipeline(viewer: RunningViewer, redis_url: str, data_dir: Path) -> Iterator[Pipeline]:
    """This process as a gateway that records spans and activities."""
    settings = Settings(
        redis_url=redis_url, postgres_dsn=viewer.settings.postgres_dsn, data_dir=str(data_dir), flow_grace=0.05
    )
    pipeline = build_pipeline(settings)
    provider = TracerProvider(shutdown_on_exit=False)
    before = install(record(provider, pipeline, settings))
    trace.set_tracer_provider(provider)
    try:
        yield pipeline
    finally:
        provider.shutdown()
        install(before)


def sign_in(page: Page, viewer: RunningViewer) -> Page:
    """The page as somebody sees it who has opened the printed link."""
    page.goto(f"{viewer.origin}/#code={viewer.post('/api/v1/session/codes')['code']}")
    expect(page.get_by_test_id("sign-out")).to_be_attached()
    return page


def store_flows(dsn: str, data_dir: Path, *parts: FlowPart) -> None:
    """Writes flows with times of their own. In a thread: the browser's event loop runs in this one."""

    def store() -> None:
        with archives_in(dsn, data_dir) as archives:
            deliver(archives.make(), *parts, within=60)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(store).result()
