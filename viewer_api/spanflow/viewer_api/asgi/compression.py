"""Answers compressed for clients that take gzip: a flow of a few thousand spans is megabytes of JSON otherwise.

How long a compressed answer is tells something about what is in it, which an attacker can use who has their own text
put beside a secret (BREACH). For that they must make a browser that is signed in ask, which no other site can here:
its requests are refused, and cookies do not go along with them. What holds credentials of ours is not compressed all
the same.
"""

import asyncio
import gzip
from collections import OrderedDict
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TYPES: Final = (
    "application/json",
    "application/openmetrics-text",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
    "image/svg+xml",
)
#: Codes, tickets and who is signed in.
_CREDENTIALS: Final = "/api/v1/session"
_LEAST: Final = 1024
#: Below that, a thread costs more than the work.
_AT_ONCE: Final = 16 * 1024
#: A file in pieces is put together for it; what is larger goes as it is.
_MOST: Final = 16 * 1024 * 1024
_LEVEL: Final = 5
#: Files of the page, which do not change.
_KEPT: Final = 64


class Compression:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD" or _CREDENTIALS in scope["path"] or not _takes(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def compressing(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if _is_worth_it(message):
                    start = message
                    return
            elif message["type"] == "http.response.body" and start is not None:
                parts.append(message.get("body", b""))
                if message.get("more_body", False):
                    return
                body = b"".join(parts)
                headers = MutableHeaders(scope=start)
                headers.add_vary_header("Accept-Encoding")
                if len(body) >= _LEAST:
                    body = await self._compressed(headers.get("etag"), body)
                    headers["Content-Encoding"] = "gzip"
                    headers["Content-Length"] = str(len(body))
                    if "etag" in headers:
                        headers["ETag"] = f"W/{headers['etag'].removeprefix('W/')}"
                await send(start)
                message, start = {"type": "http.response.body", "body": body}, None
            await send(message)

        await self._app(scope, receive, compressing)

    async def _compressed(self, etag: str | None, body: bytes) -> bytes:
        if etag is not None and (kept := self._kept.get(etag)) is not None:
            self._kept.move_to_end(etag)
            return kept
        small = len(body) <= _AT_ONCE
        made = gzip.compress(body, _LEVEL) if small else await asyncio.to_thread(gzip.compress, body, _LEVEL)
        if etag is not None:
            self._kept[etag] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _takes(scope: Scope) -> bool:
    for word in ",".join(Headers(scope=scope).getlist("accept-encoding")).split(","):
        name, _, weight = word.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _is_worth_it(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    length = headers.get("content-length", "")
    return (
        start["status"] == 200
        and headers.get("content-type", "").partition(";")[0] in _TYPES
        and "content-encoding" not in headers
        and length.isdecimal()
        and int(length) <= _MOST
    )
