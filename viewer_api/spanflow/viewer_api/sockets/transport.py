"""What a live client needs of its transport, be it a WebSocket or an endless HTTP answer."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.types import Scope, Send

from spanflow.viewer_api.live.frames import Frame

#: Where `scope["state"]` keeps the function that drops a connection at once, and the one that writes to it at once.
_CUT: Final = "cut"
_WRITE: Final = "write_at_once"
_LAST_WORDS_SECONDS: Final = 2.0


class Transport(Protocol):
    async def send(self, data: bytes, at: Callable[[], str] | None = None) -> None:
        """Send one message; `Closed` when the client is gone. `at` gives where the client is after it."""
        ...

    def send_at_once(self, frame: Frame) -> bool:
        """Send without waiting, if the client can take it at this moment and nothing is being sent."""
        ...

    async def close(self, code: int, why: str, detail: str, *, announced: bool = True, **fields: Any) -> None:
        """Say why, then close. Harmless when it is closed already, and never waits long for a client that is gone."""
        ...

    async def fail(self) -> None:
        """End it because of a mistake of the viewer. Called where the exception is at hand."""
        ...

    def stuck_for(self) -> float:
        """Seconds for which a message has been waiting for a client that does not read."""
        ...

    def cut(self) -> None:
        """Drop it at once, with what the client has not taken."""
        ...


def note_transport(scope: Scope, send: Send) -> None:
    """Remember how to drop the connection, and how to write to it without waiting.

    ASGI knows no such thing: a connection that is closed in good order first waits for ever until its client has read
    what was sent. uvicorn's own `send` belongs to an object that has the transport; other servers have limits of
    their own.
    """
    server = getattr(send, "__self__", None)
    abort = getattr(getattr(server, "transport", None), "abort", None)
    if abort is not None:
        scope.setdefault("state", {})[_CUT] = abort
    write = getattr(server, "write_at_once", None)
    if write is not None:
        scope.setdefault("state", {})[_WRITE] = write


def writer_of(scope: Scope) -> Callable[[bytes], bool] | None:
    """Writes to a WebSocket at once; None where the server cannot."""
    write: Callable[[bytes], bool] | None = scope.get("state", {}).get(_WRITE)
    return write


def cut_later(scope: Scope) -> None:
    """It was ended in good order; who does not take the last words is not waited for."""
    asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, cut, scope)


def cut(scope: Scope) -> None:
    abort = scope.get("state", {}).get(_CUT)
    if abort is not None:
        abort()
