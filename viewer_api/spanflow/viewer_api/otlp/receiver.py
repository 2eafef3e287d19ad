"""One OTLP request from its bytes to the queue, off the event loop and within a budget of bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from starlette.requests import Request

from spanflow.viewer_api.http.problems import Problem, ingest_full, unreadable_body, unsupported_body
from spanflow.viewer_api.otlp import messages
from spanflow.viewer_api.otlp.body import BY_GRPC, ENCODINGS, BodyTooLarge, UnreadableBody, unpacked
from spanflow.viewer_api.otlp.budget import ByteBudget, Share, share_of
from spanflow.viewer_api.otlp.imported import Imported, read_import
from spanflow.viewer_api.otlp.ingest import Ingest
from spanflow.viewer_api.otlp.span_queue import Batch

T = TypeVar("T")
#: Bytes that a request may have as it is sent. The Collector's own batches are far below.
MAX_SENT: Final = 16 * 1024 * 1024
#: The ASGI extension that marks what came by gRPC.
GRPC: Final = "spanflow.grpc"
#: Requests that are unpacked and decoded at once.
_AT_ONCE: Final = 2
_FULL: Final = "queue_full"
_INVALID: Final = "invalid_id"


class Receiver:
    """Made once per viewer. Fork: it is made after it."""

    def __init__(self, ingest: Ingest, *, max_unpacked: int, max_bytes: int) -> None:
        self.ingest = ingest
        self._max_unpacked = max_unpacked
        self._budget = ByteBudget(max_bytes)
        self._decoders = ThreadPoolExecutor(_AT_ONCE, "spanflow-otlp-decoder")

    async def traces(self, request: Request) -> tuple[bytes, str]:
        """Take in spans; returns the answer and its content type. `Problem` when nothing of it was accepted."""
        content_type, encoding = _described(request)
        async with self._read(request, encoding, lambda plain: messages.read_traces(plain, content_type)) as (
            read,
            size,
        ):
            if read.spans and not self.ingest.accept(Batch(read.groups, read.spans, size)):
                raise ingest_full()
        if read.invalid:
            self.ingest.refuse(_INVALID, read.invalid)
        return messages.trace_answer(read.invalid, content_type), content_type

    async def logs(self, request: Request) -> tuple[bytes, str]:
        """Take in log records; the same answers."""
        content_type, encoding = _described(request)
        async with self._read(request, encoding, lambda plain: messages.read_logs(plain, content_type)) as (read, size):
            batch = Batch((), 0, size, read.groups, read.records)
            if read.records and not self.ingest.accept(batch):
                raise ingest_full()
        for reason, number in read.refused.items():
            self.ingest.refuse_logs(reason, number)
        return messages.logs_answer(read.refused, content_type), content_type

    async def flows(self, request: Request, before: Callable[[Imported], Awaitable[None]]) -> Imported:
        """Take in the flows of a file, all of them or none. `before` is told what they are."""
        redactor = self.ingest.redactor.for_flows()
        encoding = _encoding_of(request)
        async with self._read(request, encoding, lambda plain: read_import(plain, redactor)) as (read, size):
            await before(read)
            if read.parts and not self.ingest.store(read.parts):
                raise ingest_full()
            if read.request.spans and not self.ingest.accept(Batch(read.request.groups, read.request.spans, size)):
                raise ingest_full()
        return read

    @asynccontextmanager
    async def _read(self, request: Request, encoding: str, read: Callable[[bytes], T]) -> AsyncIterator[tuple[T, int]]:
        """What a request says, and its size unpacked."""
        with share_of(self._budget) as share:
            body = await _body(request, share)
            loop = asyncio.get_running_loop()
            try:
                plain = await loop.run_in_executor(self._decoders, unpacked, body, encoding, self._max_unpacked)
                if not share.grow(len(plain)):
                    raise ingest_full()
                decoded = await loop.run_in_executor(self._decoders, read, plain)
            except UnreadableBody as why:
                raise unreadable_body(f"The body cannot be read: {why}.") from None
            except BodyTooLarge:
                raise self._too_large() from None
            yield decoded, len(plain)

    def close(self) -> None:
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def _too_large(self) -> Problem:
        detail = (
            f"Unpacked, a request may have at most {self._max_unpacked} bytes (SPANFLOW_VIEWER_OTLP_UNPACKED_BYTES)."
        )
        return Problem(413, "body_too_large", detail)


def content_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _described(request: Request) -> tuple[str, str]:
    content_type = content_type_of(request)
    if content_type not in (messages.PROTOBUF, messages.JSON):
        raise unsupported_body(f"Content-Type: send {messages.PROTOBUF} or {messages.JSON}.")
    return content_type, _encoding_of(request)


def _encoding_of(request: Request) -> str:
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    if encoding not in ENCODINGS and not (encoding == BY_GRPC and GRPC in request.scope.get("extensions", {})):
        raise unsupported_body(f"Content-Encoding: send {', '.join(ENCODINGS)}.")
    return encoding


async def _body(request: Request, share: Share) -> bytes:
    """What has come counts, not what was announced: who only begins a large request keeps nobody out."""
    body = bytearray()
    async for piece in request.stream():
        if not share.grow(len(body) + len(piece)):
            raise ingest_full()
        body += piece
    return bytes(body)
