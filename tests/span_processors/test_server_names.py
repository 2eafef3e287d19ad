"""Server spans that instrumentations name by their method alone."""

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from spanflow.span_processors.server_names import METHODS, ServerNames
from tests.support.traced_gateway import TracedGateway, flow_id_of, stream_of


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"url.path": "/v1/chat/completions"}, "POST /v1/chat/completions"),
        ({"http.target": "/mcp?token=abc"}, "POST /mcp"),
        ({"http.url": "https://gw.example/key/generate?x=1"}, "POST /key/generate"),
        ({"http.route": "/items/{item}", "url.path": "/items/17"}, "POST /items/{item}"),
        ({"url.path": "/users/17/files"}, "POST /users/{id}/files"),
        ({"url.path": "/users/5b8aa5a2-d2c8-72e8-321c-f37308d69df2"}, "POST /users/{id}"),
        ({"url.path": "/teams/ana@example.com"}, "POST /teams/{id}"),
        ({"url.path": "/keys/sk-a1B2c3D4e5F6"}, "POST /keys/{id}"),
        ({"url.path": "/a/b/c/d/e/f"}, "POST /a/b/c/d/…"),
        ({"url.path": "/" + "x" * 50}, "POST /{id}"),
        ({"url.path": "/api/v1.5/well-known/openid_config"}, "POST /api/v1.5/well-known/openid_config"),
        ({"url.path": "/"}, "POST /"),
        ({"http.url": "http://[broken"}, "POST {path}"),
        ({"url.path": 7}, None),
        ({}, None),
    ],
)
def test_the_path_gives_the_name_without_ids(attributes: dict[str, object], expected: str | None) -> None:
    assert ServerNames().better("POST", attributes) == expected


def test_a_name_that_says_something_stays() -> None:
    assert ServerNames().better("POST /mcp", {"url.path": "/other"}) is None


def test_a_scanner_cannot_make_names_without_end() -> None:
    names = ServerNames(most=10)
    made = {names.better("GET", {"url.path": f"/{'a' * count}"}) for count in range(1, 25)}
    assert len(made) == 11
    assert "GET {path}" in made
    assert names.better("GET", {"url.path": "/a"}) == "GET /a"


@given(st.text(), st.sampled_from(["url.path", "http.target", "http.url"]))
def test_whatever_the_path_a_name_is_short_and_has_no_digits_of_an_id(path: str, place: str) -> None:
    made = ServerNames().better("GET", {place: path})
    assert made is None or (len(made) <= 4 + 4 * 41 + 2 and made not in METHODS)
    assert made is None or not any(part.isdigit() for part in made.split("/"))


def test_server_spans_are_named_from_their_first_moment_and_others_are_not(redis_url: str) -> None:
    attributes = {"http.method": "GET", "http.target": "/nowhere/17"}
    with TracedGateway(redis_url) as gateway:
        with gateway.span("GET", kind=SpanKind.SERVER, attributes=attributes) as server:
            with gateway.span("GET", server, kind=SpanKind.CLIENT, attributes=attributes):
                pass
        assert gateway.pipeline.force_flush(5)
        events = stream_of(redis.Redis.from_url(redis_url), flow_id_of(server))
    assert [event["name"] for event in events if "name" in event] == ["GET /nowhere/{id}", "GET"]
