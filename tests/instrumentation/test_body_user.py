"""Whom a request's body names, where nothing else says whose it is; the body arrives as it was sent."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import fastapi
import httpx
import pytest
from opentelemetry import trace

from spanflow.instrumentation import identify, shutdown
from spanflow.instrumentation.startup import start
from spanflow.span_processors.settings import Settings
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving
from tests.support.poll import eventually
from tests.support.query import query

Start = Callable[..., Recorded]
FIELDS = ("user", "metadata.user_id")


def gateway() -> Any:
    app = fastapi.FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: fastapi.Request, signed_in: str = "", key_owner: str = "") -> int:
        body = await request.body()
        if signed_in:
            identify(user_id=signed_in)
        if key_owner:
            with trace.get_tracer("litellm").start_as_current_span("litellm_request") as span:
                span.set_attribute("metadata.user_api_key_user_id", key_owner)
        return len(body)

    return app


def named(recorded: Recorded) -> Any:
    return (recorded.only("POST /v1/chat/completions").attributes or {}).get("llm.user")


def pieces(body: bytes) -> Iterator[bytes]:
    for place in range(0, len(body), 7):
        yield body[place : place + 7]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "ann"}, "ann"),
        ({"metadata": {"user_id": "bob"}}, "bob"),
        ({"user": {"name": "ann"}, "metadata": {"user_id": 7}}, "7"),
        ({"user": "a/b"}, None),
        ({"messages": [{"user": "ann"}]}, None),
        (["user"], None),
        ({"user": "ann", "padding": "x" * 300_000}, None),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_names_the_user_and_arrives_as_it_was_sent(
    started: Start, body: object, expected: str | None, chunked: bool
) -> None:
    recorded = started(body_user=FIELDS)
    data = json.dumps(body).encode()
    with serving(gateway()) as address:
        sent: Any = pieces(data) if chunked else data
        headers = {"Content-Type": "application/json; charset=utf-8"}
        answer = httpx.post(f"http://{address}/v1/chat/completions", content=sent, headers=headers)
    assert answer.json() == len(data)
    assert named(recorded) == expected


def test_other_bodies_are_left_alone_and_so_are_all_by_default(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        httpx.post(f"http://{address}/v1/chat/completions", json={"user": "ann"})
    assert named(recorded) is None


def test_a_form_is_no_json(started: Start) -> None:
    recorded = started(body_user=FIELDS)
    with serving(gateway()) as address:
        httpx.post(f"http://{address}/v1/chat/completions", content=b'{"user": "ann"}')
    assert named(recorded) is None


def test_it_is_the_weakest_source(fresh_otel: None, redis_url: str, postgres_dsn: str) -> None:
    running = start(
        Settings(enabled=True, redis_url=redis_url, postgres_dsn=postgres_dsn, body_user=FIELDS, flow_grace=0.05)
    )
    assert running is not None
    try:
        with serving(gateway()) as address:
            for path in ("", "?signed_in=joe", "?key_owner=kim"):
                httpx.post(f"http://{address}/v1/chat/completions{path}", json={"user": "ann"})
        assert running.pipeline.force_flush(5)
        statement = "SELECT user_id FROM omni2.interaction_flows ORDER BY started_at"
        rows = eventually(lambda: [*r] if len(r := query(postgres_dsn, statement)) == 3 else [])
        assert [row["user_id"] for row in rows] == ["ann", "joe", "kim"]
    finally:
        shutdown()
