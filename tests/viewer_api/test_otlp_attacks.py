"""Attacks on the ingest of spans: by who has no right to it, and by who has it and uses it against the others."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from spanflow.viewer_api.app import api_routes
from spanflow.viewer_api.auth.permissions import Role
from spanflow.viewer_api.otlp.receiver import MAX_SENT
from tests.support.otlp_client import PROTOBUF, request, send, span
from tests.support.people import PEOPLE, Person, write_tokens
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_operations import number
from tests.viewer_api.test_otlp import TRACE, flat, turn

COLLECTOR = Person("collector", Role.INGEST)
BODY = request(span("GET /", TRACE, 1, kind=2, user__id="7")).SerializeToString()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    tokens = write_tokens(tmp_path / "tokens.toml", *PEOPLE, COLLECTOR)
    return make_viewer(viewer_tokens_file=str(tokens))


@contextmanager
def begun(viewer: RunningViewer, *headers: str, body: bytes = b"\x0a", bearer: bool = True) -> Iterator[socket.socket]:
    """A request whose body does not come to an end."""
    host, _, port = viewer.address.partition(":")
    credential = [f"Authorization: {COLLECTOR.bearer['Authorization']}"] if bearer else []
    lines = ["POST /v1/traces HTTP/1.1", f"Host: {viewer.address}", f"Content-Type: {PROTOBUF}", *credential, *headers]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        yield connection


def by(viewer: RunningViewer, person: Person) -> httpx.Client:
    return httpx.Client(base_url=viewer.origin, headers=person.bearer, timeout=10)


def test_bodies_that_were_only_begun_keep_no_room(viewer: RunningViewer, store: Store) -> None:
    """What counts is what has come, and not what was announced: each of these may still become 16 MB."""
    with ExitStack() as stack, by(viewer, COLLECTOR) as collector:
        for _ in range(8):
            stack.enter_context(begun(viewer, f"Content-Length: {MAX_SENT}"))
            stack.enter_context(begun(viewer, "Transfer-Encoding: chunked", body=b"1\r\n\x0a\r\n"))
        budget = viewer.app.state.viewer.receiver._budget
        eventually(lambda: budget.taken == 16)
        assert send(collector, BODY).status_code == 200
    assert len(flat(viewer)["spans"]) == 1
    eventually(lambda: budget.taken == 0)


def test_bodies_are_counted_while_they_come(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_otlp_queue_bytes=1024 * 1024)
    length, half = f"Content-Length: {MAX_SENT}", b"\0" * 700_000
    token = f"Authorization: {viewer.http.headers['Authorization']}"
    budget = viewer.app.state.viewer.receiver._budget
    with begun(viewer, length, token, body=half, bearer=False):
        eventually(lambda: budget.taken == len(half))
        with begun(viewer, length, token, body=half, bearer=False) as second:
            assert second.recv(64).startswith(b"HTTP/1.1 503 ")
        assert budget.taken == len(half)
        assert send(viewer.http, BODY).status_code == 200
    eventually(lambda: budget.taken == 0)


def test_a_body_of_who_may_not_send_one_is_not_waited_for(viewer: RunningViewer) -> None:
    """Nobody reads megabytes of a stranger, or of somebody without the right, before they are refused."""
    for person in (None, *PEOPLE):
        if person is not None and person.role is Role.ADMIN:
            continue
        token = [] if person is None else [f"Authorization: {person.bearer['Authorization']}"]
        with begun(viewer, f"Content-Length: {MAX_SENT}", *token, bearer=False) as connection:
            expected = b"HTTP/1.1 401 " if person is None else b"HTTP/1.1 403 "
            assert connection.recv(64).startswith(expected), person
    assert viewer.app.state.viewer.receiver._budget.taken == 0


def test_the_right_to_send_spans_opens_nothing_else(viewer: RunningViewer, store: Store) -> None:
    """Whoever may send them can write any trace and any user, and learns nothing: not even whether they are there."""
    with by(viewer, COLLECTOR) as collector:
        there = send(collector, request(*turn()).SerializeToString())
        flat(viewer)
        again = send(collector, request(*turn()).SerializeToString())
        assert (there.status_code, there.content) == (again.status_code, again.content) == (200, b"")
        opened = set()
        for route in api_routes():
            path = route.path
            for name in route.param_convertors:
                path = path.replace(f"{{{name}}}", f"{TRACE:032x}" if "id" in name else "x")
            for method in (route.methods or set()) - {"HEAD"}:
                answer = collector.request(method, path)
                if answer.status_code not in (401, 403, 404, 405):
                    opened.add((method, route.path, answer.status_code))
    assert {(method, path) for method, path, _ in opened} <= OPEN


#: What the right is for, and what everybody may ask who is signed in, or who is not.
OPEN = {
    ("POST", "/v1/traces"),
    ("POST", "/v1/logs"),
    ("POST", "/api/v1/import"),
    ("GET", "/api/v1/session"),
    ("GET", "/api/v1/session/methods"),
    ("GET", "/api/v1/me"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/session/codes"),
    ("POST", "/api/v1/session/tickets"),
    ("GET", "/docs"),
    ("GET", "/docs/style.css"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}


def test_refused_requests_are_counted_by_reason(viewer: RunningViewer) -> None:
    with by(viewer, COLLECTOR) as collector:
        bad = span("short", TRACE, 5)
        bad.trace_id = b"\1"
        assert send(collector, request(bad, bad).SerializeToString()).status_code == 200
    assert number(viewer, "otlp_spans_refused_total", reason="invalid_id") == 2
