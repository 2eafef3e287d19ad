"""An application made with Starlette, without FastAPI, needs no wrapping by hand."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import fastapi
import httpx
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from spanflow.instrumentation.startup import started as running
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving

Start = Callable[..., Recorded]
THEIRS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-User-Id": "ann"}


async def answer(request: Request) -> PlainTextResponse:
    with trace.get_tracer("gateway").start_as_current_span("step"):
        return PlainTextResponse("done")


def test_the_user_of_a_header_is_known_in_its_requests(started: Start) -> None:
    recorded = started()
    with serving(Starlette(routes=[Route("/", answer)])) as address:
        assert httpx.get(f"http://{address}/", headers=THEIRS).text == "done"
    (span,) = recorded.spans
    assert (span.parent, dict(span.attributes or {})) == (None, {"user.id": "ann"})


def test_one_mounted_in_the_other_is_guarded_once(started: Start) -> None:
    recorded = started()
    inner = fastapi.FastAPI()
    inner.add_route("/", answer)
    outer = fastapi.FastAPI()
    outer.mount("/plain", Starlette(routes=[Route("/", answer)]))
    with serving(outer) as address, serving(Starlette(routes=[Mount("/api", app=inner)])) as other:
        for url in (f"http://{address}/plain/", f"http://{other}/api/"):
            assert httpx.get(url, headers=THEIRS).text == "done"
    assert [(span.attributes or {}).get("user.id") for span in recorded.spans] == ["ann"] * 4
    assert len(recorded.trace_ids()) == 2


def test_it_starts_and_stops_as_without_us(started: Start) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        seen.append("started")
        yield
        seen.append("stopped")

    started()
    with serving(Starlette(routes=[Route("/", answer)], lifespan=lifespan)):
        pass
    assert seen == ["started", "stopped"]


def test_afterwards_nothing_of_it_is_left(started: Start) -> None:
    before = Starlette.__call__
    started()
    process = running()
    assert process is not None and Starlette.__call__ is not before
    process.stop(1)
    assert Starlette.__call__ is before
