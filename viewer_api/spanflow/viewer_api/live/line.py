"""What a live client needs of its transport, be it a WebSocket or an endless HTTP answer."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.types import Scope, Send

#: Where `scope["state"]` keeps the function that drops a connection at once.
_CUT: Final = "cut"
_LAST_WORDS_SECONDS: Final = 2.0


class Line(Protocol):
    async def send(self, data: bytes, at: Callable[[], str] | None = None) -> None:
        """Send one message; `Closed` when nobody is there any more. `at` gives where the client is after it."""
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
    """Remember how to drop the connection.

    ASGI knows no such thing: a connection that is closed in good order first waits for ever until its client has read
    what was sent. uvicorn's own `send` belongs to an object that has the transport; other servers have limits of
    their own.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    abort = getattr(transport, "abort", None)
    if abort is not None:
        scope.setdefault("state", {})[_CUT] = abort


def cut_later(scope: Scope) -> None:
    """It was ended in good order; who does not take the last words is not waited for."""
    asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, cut, scope)


def cut(scope: Scope) -> None:
    abort = scope.get("state", {}).get(_CUT)
    if abort is not None:
        abort()
