"""Whom the body of a request names, as OpenAI's `user` and Anthropic's `metadata.user_id` do.

The body is not read: each piece is looked at as the application receives it. It is the weakest of all sources, since
any client may write anything there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from spanflow.instrumentation.edge import Edge
from spanflow.instrumentation.runtime import runtime
from spanflow.span_processors import names
from spanflow.span_processors.ids import id_or_none
from spanflow.span_processors.settings import Settings

#: Larger bodies are not parsed: a request waits for it, about a millisecond for one of this size.
_LARGEST: Final = 262_144
#: The last of the attributes that name a user for want of a better one.
_WEAKEST: Final = names.USER_ID_ALIASES[-1]


class BodyUser:
    """Which fields of a body name the user, the best first."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._paths = [field.split(".") for field in fields]

    @classmethod
    def from_settings(cls, settings: Settings) -> "BodyUser | None":
        return cls(settings.body_user) if settings.body_user else None

    def watch(self, edge: Edge, scope: Mapping[str, Any]) -> "BodyWatch | None":
        """None for a request whose body is no JSON."""
        if scope.get("method") != "POST":
            return None
        kind = next((value for name, value in scope.get("headers", ()) if name == b"content-type"), b"")
        return BodyWatch(edge, self) if b"json" in kind.lower() else None

    def user_in(self, body: bytes) -> str | None:
        try:
            document = orjson.loads(body)
        except ValueError:
            return None
        return next((user for path in self._paths if (user := id_or_none(_at(document, path))) is not None), None)


class BodyWatch:
    """The body of one request, piece by piece."""

    __slots__ = ("_edge", "_pieces", "_reader", "_size")

    def __init__(self, edge: Edge, reader: BodyUser) -> None:
        self._edge = edge
        self._reader = reader
        self._pieces: list[bytes] | None = []
        self._size = 0

    def add(self, message: Mapping[str, Any]) -> None:
        """The application has received this."""
        if self._pieces is None:
            return
        piece = message.get("body", b"")
        self._size += len(piece)
        if self._size > _LARGEST:
            self._pieces = None
            return
        self._pieces.append(piece)
        if not message.get("more_body", False):
            pieces, self._pieces = self._pieces, None
            user = self._reader.user_in(b"".join(pieces))
            if user is not None:
                _tell(self._edge, user)


def _tell(edge: Edge, user: str) -> None:
    span, pipeline = edge.server_span, runtime().pipeline
    if span is not None and span.is_recording():
        span.set_attribute(_WEAKEST, user)
        if pipeline is not None:
            pipeline.span_updated(span)


def _at(document: object, path: Sequence[str]) -> object:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return document
