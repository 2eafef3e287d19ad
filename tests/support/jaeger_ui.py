"""Jaeger's own web page in front of a viewer, through a proxy that adds the access token, as docs/jaeger-api.md
describes it."""

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from scripts.interop_tools import cache
from tests.support.asgi_server import serving
from tests.support.viewer_server import TOKEN, RunningViewer

_VERSION = "2.20.0"


def built_ui() -> Path:
    """`index.html` and `static` of Jaeger UI: in the folder that JAEGER_UI names, or in the cache of tools."""
    folder = Path(os.environ.get("JAEGER_UI") or cache() / f"jaeger-ui-{_VERSION}")
    if not (folder / "index.html").is_file():
        pytest.skip(
            f"no built Jaeger UI in {folder} (npm builds it from jaegertracing/jaeger-ui; JAEGER_UI names its folder)"
        )
    return folder


@contextmanager
def jaeger_ui(folder: Path, viewer: RunningViewer) -> Iterator[str]:
    with serving(_site(folder, viewer.origin)) as address:
        yield f"http://{address}"


def _site(folder: Path, viewer: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with httpx.AsyncClient(base_url=viewer, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        target = f"/jaeger{request.scope['raw_path'].decode()}"
        answer = await request.app.state.client.get(f"{target}?{request.url.query}", timeout=15)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def index(request: Request) -> Response:
        return FileResponse(folder / "index.html")

    routes = [
        Route("/api/{path:path}", forward),
        Mount("/static", StaticFiles(directory=folder / "static")),
        Route("/{path:path}", index),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
