"""Sends one message to one webhook: signed, once, without following redirects, bounded in time and size."""

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from spanflow.viewer_api.alerts.guarded_network import AddressRefused, GuardedNetwork, Network
from spanflow.viewer_api.alerts.signature import signed_headers
from spanflow.viewer_api.http.problems import invalid_request

_SECONDS: Final = 10.0
_MAX_URL: Final = 2000
_LARGEST_ANSWER: Final = 64 * 1024
#: The receiver does not want any more, and never will.
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt."""

    delivered: bool
    status: int | None = None
    problem: str | None = None
    #: Seconds after which the receiver wants to be asked again.
    retry_after: float | None = None


class WebhookSender:
    """One per viewer. `close` it."""

    def __init__(self, allowed: Iterable[Network], clock: Any = time.time) -> None:
        self._clock = clock
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=20,
            max_keepalive_connections=0,
            network_backend=GuardedNetwork(allowed),
        )

    async def close(self) -> None:
        await self._pool.aclose()

    async def send(self, url: str, secret: str, message_id: str, body: bytes) -> Answer:
        headers = [("content-type", "application/json"), ("user-agent", "spanflow")]
        headers += signed_headers(secret, message_id, int(self._clock()), body).items()
        timeouts = {"connect": _SECONDS, "read": _SECONDS, "write": _SECONDS, "pool": _SECONDS}
        try:
            async with self._pool.stream(
                "POST", url, headers=headers, content=body, extensions={"timeout": timeouts}
            ) as response:
                await _read(response)
        except AddressRefused as why:
            return Answer(False, None, f"address_refused: {why}")
        except httpcore.TimeoutException:
            return Answer(False, None, "timeout")
        except TimeoutError:
            return Answer(False, None, "timeout")
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as why:
            return Answer(False, None, f"unreachable: {type(why).__name__}")
        status: int = response.status
        if 200 <= status < 300:
            return Answer(True, status)
        return Answer(False, status, f"status_{status}", _retry_after(response))


async def _read(response: httpcore.Response) -> None:
    """The answer's body says nothing to us; it is read as far as that keeps receivers content."""
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > _LARGEST_ANSWER:
            return


def _retry_after(response: httpcore.Response) -> float | None:
    for name, value in response.headers:
        if name.lower() == b"retry-after" and value.isdigit():
            return float(value[:6])
    return None


def checked_url(url: str) -> str:
    """An address that messages can be sent to; a `Problem` for another one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = len(url) <= _MAX_URL and url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in {"https", "http"} or not parts.hostname or port == 0 or parts.username:
        raise invalid_request("url: write it like https://hooks.example.com/spanflow, without a user name.")
    return url


def origin_of(url: str) -> str:
    """What may be shown of it: the path of a webhook is often its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
