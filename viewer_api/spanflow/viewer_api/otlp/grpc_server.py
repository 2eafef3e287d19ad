"""OTLP/gRPC: a second transport for the routes of OTLP/HTTP.

Each call becomes a request to the application itself, so that signing in, limits, decoding, accounting and the log are
those of HTTP. A call's message is read where the route reads the body: after its sender has signed in.
"""

import asyncio
import functools
import importlib.util
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote

import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from starlette.types import ASGIApp, Message, Scope

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.http.problems import ingest_full
from spanflow.viewer_api.otlp.body import BY_GRPC
from spanflow.viewer_api.otlp.messages import PROTOBUF
from spanflow.viewer_api.otlp.receiver import GRPC, MAX_SENT

_log = logging.getLogger(__name__)

_SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "/v1/traces",
    "opentelemetry.proto.collector.logs.v1.LogsService": "/v1/logs",
}
#: Metadata that becomes headers.
_PASSED_ON: Final = ("authorization", "user-agent", "x-forwarded-for")
#: gRPC's numbers of what went wrong, by HTTP status. Clients repeat what is unavailable, and what is exhausted only if
#: they are told when.
_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 12, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
#: The message did not come in time, or not whole.
_NO_MESSAGE: Final = 408
_INTERNAL: Final = 13
_DETAILS: Final = "grpc-status-details-bin"
#: Calls of one connection that are worked on at once, and of all. Before a message is read the library holds no more
#: of it than its window.
_PER_CONNECTION: Final = 16
_AT_ONCE: Final = 128
_READ_AT_ONCE: Final = 4
#: Seconds for a message to come, and for the calls in progress when the viewer ends.
_MESSAGE_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_SENT),
    ("grpc.max_concurrent_streams", _PER_CONNECTION),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_connection_idle_ms", 300_000),
    # What is packed is unpacked by us, within a limit.
    ("grpc.per_message_decompression", 0),
    # Two viewers at one port would each get a part of the calls.
    ("grpc.so_reuseport", 0),
)


def check_installed() -> None:
    """`SettingsError` where the library is missing."""
    if importlib.util.find_spec("grpc") is None:
        raise SettingsError("SPANFLOW_VIEWER_OTLP_GRPC_PORT: gRPC is not installed: pip install 'spanflow[grpc]'.")


@asynccontextmanager
async def serving_grpc(app: ASGIApp, host: str, port: int) -> AsyncIterator[None]:
    """Takes calls while the block runs; those in progress at its end are answered."""
    import grpc

    keep_poller()
    calls = Calls(app)
    server = grpc.aio.server(options=_OPTIONS)
    # Without types, messages are bytes. A call with one message is read like one with several: when we are ready.
    handlers = [
        grpc.method_handlers_generic_handler(
            service, {"Export": grpc.stream_unary_rpc_method_handler(calls.handler(path))}
        )
        for service, path in _SERVICES.items()
    ]
    server.add_generic_rpc_handlers(tuple(handlers))
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as why:
        raise SettingsError(f"SPANFLOW_VIEWER_OTLP_GRPC_PORT: {why}") from None
    await server.start()
    _log.info("OTLP/gRPC is served", extra={"host": host, "port": port})
    try:
        yield
    finally:
        await server.stop(_STOP_SECONDS)


@functools.cache
def keep_poller() -> None:
    """Keep the library's poller until the process ends. Otherwise whatever frees the last server or call ends it, and
    waits for its thread there, be it in the garbage collector; and the next server starts another one."""
    import grpc

    grpc.aio.init_grpc_aio()


class Calls:
    """Turns calls into requests. Used on the event loop only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running = 0
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)

    def handler(self, path: str) -> Any:
        async def export(_: Any, context: Any) -> bytes:
            return await self._answer(path, context)

        return export

    async def _answer(self, path: str, context: Any) -> bytes:
        answer = _Answer()
        self._running += 1
        try:
            app = self._app if self._running <= _AT_ONCE else ingest_full().response()
            await app(_scope(path, context), self._receiver(context), answer.send)
        except Exception:
            answer.status = 500
            _log.exception("an OTLP/gRPC call failed")
        finally:
            self._running -= 1
        if answer.status == 200:
            return answer.body
        await _abort(context, answer)
        raise AssertionError  # `abort` never returns

    def _receiver(self, context: Any) -> Any:
        """What the application reads the body by."""
        read = False

        async def receive() -> Message:
            nonlocal read
            if read:
                await asyncio.Event().wait()  # the call's end cancels it
            read = True
            import grpc

            try:
                async with asyncio.timeout(_MESSAGE_SECONDS), self._reading:
                    message = await context.read()
            except TimeoutError:
                return {"type": "http.disconnect"}
            if message is grpc.aio.EOF:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": message, "more_body": False}

        return receive


class _Answer:
    """What the application answers."""

    def __init__(self) -> None:
        self.status = _NO_MESSAGE
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.lower(): value for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    @property
    def reason(self) -> str:
        """In words: of a `Status`, or of problem details."""
        try:
            if self.headers.get(b"content-type") == PROTOBUF.encode():
                return str(Status.FromString(self.body).message)
            return str(orjson.loads(self.body)["detail"])
        except (ValueError, TypeError, KeyError, DecodeError):
            return "The viewer could not answer."

    @property
    def retry_after(self) -> int | None:
        seconds = self.headers.get(b"retry-after", b"")
        return int(seconds) if seconds.isdigit() else None


def _scope(path: str, context: Any) -> Scope:
    metadata = dict(context.invocation_metadata() or ())
    headers = [
        (name.encode(), str(metadata[name]).encode("latin-1", "replace")) for name in _PASSED_ON if name in metadata
    ]
    headers += [
        (b"host", b"localhost"),
        (b"content-type", PROTOBUF.encode()),
        (b"content-encoding", BY_GRPC.encode()),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": _client(context.peer()),
        "server": ("localhost", 0),
        "extensions": {GRPC: {}},
    }


def _client(peer: str) -> tuple[str, int] | None:
    """gRPC writes `ipv4:192.0.2.1:4317` and `ipv6:%5B2001:db8::1%5D:4317`."""
    kind, _, place = unquote(peer).partition(":")
    host, _, port = place.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") and port.isdecimal() else None


async def _abort(context: Any, answer: _Answer) -> None:
    import grpc

    code = _CODES.get(answer.status, _INTERNAL)
    status = Status(code=code, message=answer.reason)
    if answer.retry_after is not None:
        packed = AnyMessage()
        packed.Pack(RetryInfo(retry_delay=Duration(seconds=answer.retry_after)))
        status.details.append(packed)
    [shown] = [each for each in grpc.StatusCode if each.value[0] == code]
    await context.abort(shown, answer.reason, ((_DETAILS, status.SerializeToString()),))
