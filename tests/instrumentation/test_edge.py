"""Strangers decide nothing: neither the trace id, nor whether a flow is recorded, nor whose it is."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import fastapi
import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from spanflow.instrumentation import flow
from spanflow.instrumentation.asgi import EdgeMiddleware
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings
from tests.instrumentation.conftest import Recorded

Start = Callable[..., Recorded]

THEIR_TRACE = "0af7651916cd43dd8448eb211c80319c"
THEIRS = {
    "traceparent": f"00-{THEIR_TRACE}-b7ad6b7169203331-01",
    "tracestate": "vendor=theirs",
    "baggage": "user.id=somebody,secret=1",
}
HEADERS = {"X-User-Id": "ann", "X-User-Email": "ann@example.com"}


def gateway() -> Any:
    app = fastapi.FastAPI()

    @app.get("/")
    def root() -> dict[str, Any]:
        onward: dict[str, str] = {}
        propagate.inject(onward)
        return {
            "baggage": dict(baggage.get_all()),
            "state": "tracestate" in onward,
            "baggage sent": "baggage" in onward,
        }

    return app


def call(
    app: Any, headers: dict[str, str] | list[tuple[str, str]], client: Any = ("127.0.0.1", 4711), leaves: bool = False
) -> bytes:
    """One request by way of the ASGI interface, from an address of our choice."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
        "client": client,
        "server": ("127.0.0.1", 80),
    }
    body = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        body += message.get("body", b"")

    asyncio.run(app(scope, receive, send))
    return body


def user_of(recorded: Recorded) -> object:
    return (recorded.spans[-1].attributes or {}).get("user.id")


def test_a_strangers_trace_is_linked_to_and_not_joined(started: Start) -> None:
    recorded = started()
    body = call(gateway(), THEIRS)
    (span,) = recorded.spans
    assert span.parent is None
    assert recorded.trace_ids() != [THEIR_TRACE]
    (link,) = span.links
    assert f"{link.context.trace_id:032x}" == THEIR_TRACE
    assert body == b'{"baggage":{},"state":false,"baggage sent":false}'


class SecondServerSpan:
    """Middleware of a gateway that extracts the caller's context once more and makes a server span of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        carrier = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
        tracer = trace.get_tracer("gateway")
        with tracer.start_as_current_span("own", context=propagate.extract(carrier), kind=trace.SpanKind.SERVER):
            await self._app(scope, receive, send)


@pytest.mark.parametrize("callers", [(), ("127.0.0.0/8",)])
@pytest.mark.parametrize("headers", [{}, THEIRS])
def test_a_second_extract_inside_a_request_stays_in_its_flow(
    started: Start, callers: tuple[str, ...], headers: dict[str, str]
) -> None:
    recorded = started(trusted_callers=callers)
    app = gateway()
    app.add_middleware(SecondServerSpan)
    call(app, {**HEADERS, **headers})
    assert recorded.outline() == ["GET /", "  own"]
    assert len(recorded.trace_ids()) == 1


def test_the_context_of_a_message_inside_a_trusted_request_is_followed(started: Start) -> None:
    """As in MCP, where many messages come by one request: the message's own caller is the parent."""
    recorded = started(trusted_callers=("127.0.0.0/8",))
    app = fastapi.FastAPI()

    @app.get("/")
    def root() -> None:
        carrier = {"traceparent": f"00-{THEIR_TRACE}-00000000000000aa-01"}
        with trace.get_tracer("gateway").start_as_current_span("message", context=propagate.extract(carrier)):
            pass

    call(app, THEIRS)
    message = recorded.only("message")
    assert message.parent is not None and message.parent.span_id == 0xAA


def test_an_unsampled_caller_cannot_hide(started: Start) -> None:
    recorded = started()
    call(gateway(), {**HEADERS, "traceparent": f"00-{THEIR_TRACE}-b7ad6b7169203331-00"})
    assert user_of(recorded) == "ann"
    assert recorded.spans[0].context is not None
    assert recorded.spans[0].context.trace_flags.sampled


def test_a_trusted_caller_is_joined_even_when_it_is_unsampled(started: Start) -> None:
    recorded = started(trusted_callers=("127.0.0.0/8",))
    body = call(gateway(), {**THEIRS, "traceparent": f"00-{THEIR_TRACE}-b7ad6b7169203331-00"})
    assert recorded.trace_ids() == [THEIR_TRACE]
    assert recorded.spans[0].links == ()
    assert b'"secret":"1"' in body
    call(gateway(), THEIRS, client=("10.0.0.1", 4711))
    assert len(recorded.trace_ids()) == 2


def test_a_callee_joins_every_caller(started: Start) -> None:
    recorded = started(join_caller=True)
    call(gateway(), THEIRS, client=("203.0.113.9", 4711))
    assert recorded.trace_ids() == [THEIR_TRACE]


def test_a_turn_of_a_linked_request_is_not_linked_to_the_caller_again(started: Start) -> None:
    recorded = started()
    app = fastapi.FastAPI()

    @app.get("/")
    def root() -> None:
        with flow("turn"):
            pass

    call(app, THEIRS)
    assert [len(span.links) for span in recorded.spans] == [1, 1]
    assert recorded.spans[0].links[0].context == recorded.spans[1].context


@pytest.mark.parametrize(
    ("client", "user"),
    [
        (("127.0.0.1", 4711), "ann"),
        (("::1", 4711), "ann"),
        (("::ffff:127.0.0.1", 4711), "ann"),
        (("203.0.113.9", 0), "ann"),  # uvicorn has taken the address from a proxy that it trusts
        (None, "ann"),  # a Unix socket
        (("203.0.113.9", 4711), None),
        (("127.0.0.1.example.com", 4711), None),
        (("x" * 1000, 4711), None),
    ],
)
def test_identity_headers_count_from_trusted_peers_only(started: Start, client: Any, user: str | None) -> None:
    recorded = started()
    call(gateway(), HEADERS, client)
    assert user_of(recorded) == user


def test_which_peers_and_which_headers_is_a_setting(started: Start) -> None:
    recorded = started(trusted_peers=("203.0.113.0/24",), user_id_header="X-Auth-User", email_header="off")
    headers = {"X-Auth-User": "bob", **HEADERS}
    call(gateway(), headers, ("203.0.113.9", 4711))
    assert user_of(recorded) == "bob"
    assert "user.email" not in (recorded.spans[-1].attributes or {})
    for stranger in (("127.0.0.1", 4711), ("203.0.113.9", 0), None):
        call(gateway(), headers, stranger)
        assert user_of(recorded) is None


def test_a_header_that_comes_twice_is_not_believed(started: Start) -> None:
    recorded = started()
    call(gateway(), [("X-User-Id", "ann"), ("X-User-Id", "root")])
    assert user_of(recorded) is None
    call(gateway(), [("X-User-Id", "ann"), ("X-User-Id", "ann")])
    assert user_of(recorded) == "ann"


def test_headers_that_cannot_be_ids_are_left_out(started: Start) -> None:
    recorded = started()
    for value in ("a/b", "{x}", "x" * 129, "", " "):
        call(gateway(), {"X-User-Id": value})
        assert user_of(recorded) is None


def test_without_propagators_requests_do_not_fail(started: Start, caplog: pytest.LogCaptureFixture) -> None:
    propagate.set_global_textmap(CompositePropagator([]))
    with caplog.at_level(logging.WARNING):
        recorded = started()
    assert call(gateway(), THEIRS) == b'{"baggage":{},"state":false,"baggage sent":false}'
    assert len(recorded.spans) == 1
    assert [record.message.split(";")[1] for record in caplog.records] == [
        " repaired: no trace context is read or sent"
    ]


def test_a_propagator_that_the_application_sets_later_is_guarded_too(started: Start) -> None:
    recorded = started()
    propagate.set_global_textmap(CompositePropagator([]))
    assert call(gateway(), THEIRS) == b'{"baggage":{},"state":false,"baggage sent":false}'
    assert len(recorded.spans) == 1


def test_a_propagator_that_raises_does_not_reach_the_request(started: Start) -> None:
    class Broken(CompositePropagator):
        def extract(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("broken")

    propagate.set_global_textmap(Broken([]))
    recorded = started()
    assert call(gateway(), HEADERS)
    assert user_of(recorded) == "ann"


def test_outside_of_a_request_a_stranger_is_not_joined_either(started: Start) -> None:
    recorded = started()
    context = propagate.extract(THEIRS)
    with trace.get_tracer("worker").start_as_current_span("job", context=context):
        pass
    (span,) = recorded.spans
    assert span.parent is None
    assert len(span.links) == 1


def test_nothing_is_hidden_when_the_sampler_drops(started: Start) -> None:
    recorded = started(sampler=ALWAYS_OFF, trusted_callers=("127.0.0.1",))
    call(gateway(), {**HEADERS, "traceparent": f"00-{THEIR_TRACE}-b7ad6b7169203331-00"})
    assert user_of(recorded) == "ann"


def test_any_other_asgi_application_is_guarded_by_the_middleware(started: Start) -> None:
    recorded = started()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with trace.get_tracer("own").start_as_current_span("GET /", context=propagate.extract(THEIRS)):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"own"})

    assert call(EdgeMiddleware(application), HEADERS) == b"own"
    assert user_of(recorded) == "ann"
    assert recorded.spans[0].parent is None


def test_the_middleware_does_not_keep_an_application_from_starting(
    monkeypatch: pytest.MonkeyPatch, fresh_otel: None
) -> None:
    monkeypatch.setenv("SPANFLOW_QUEUE_SPANS", "many")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"own"})

    assert call(EdgeMiddleware(application), HEADERS) == b"own"


def test_peers_that_cannot_be_are_said_at_start() -> None:
    assert Settings.from_environ({"SPANFLOW_TRUSTED_PEERS": "nobody"}).trusted_peers == ()
    assert Settings.from_environ({"SPANFLOW_TRUSTED_PEERS": "10.0.0.0/8, unix"}).trusted_peers == ("10.0.0.0/8", "unix")
    for wrong in ("everybody", "10.0.0.0/99", "nobody,unix"):
        with pytest.raises(SettingsError, match="SPANFLOW_TRUSTED_PEERS"):
            Settings.from_environ({"SPANFLOW_TRUSTED_PEERS": wrong})


def test_peers_are_networks_and_two_words() -> None:
    nobody = TrustedPeers(())
    assert not nobody.includes({"client": ("127.0.0.1", 1)})
    assert not nobody.includes({"client": None})
    assert not nobody.includes({})
    assert TrustedPeers(("unix",)).includes({})
    assert TrustedPeers(("2001:db8::/32",)).includes({"client": ("2001:db8::1", 1)})


class EmptyLastMessage:
    """As middleware that passes a body on does: it hears of the client's leaving before it sends its last message."""

    def __init__(self, app: Any, length: bytes) -> None:
        self._length = length

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", self._length)]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize(("length", "outcome"), [(b"2", None), (b"3", "cancelled")])
def test_a_client_that_has_got_everything_has_not_cancelled(started: Start, length: bytes, outcome: str | None) -> None:
    recorded = started()
    app = gateway()
    app.add_middleware(EmptyLastMessage, length=length)
    call(app, HEADERS, leaves=True)
    assert (recorded.spans[-1].attributes or {}).get("flow.outcome") == outcome
