"""Where a request's identity comes from: a token's claims, headers that a forward-auth proxy sets, or a function of the
gateway's own."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import Any, Final

from opentelemetry import metrics

from spanflow.instrumentation.bounded_calls import BoundedCalls
from spanflow.instrumentation.identify import clean_identity
from spanflow.instrumentation.known_flows import learned
from spanflow.instrumentation.runtime import SCOPE, say_once
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.settings import Settings

Scope = Mapping[str, Any]
#: Looks at an ASGI scope and says what it knows: an `Identity`, its fields as a mapping, or None.
Extractor = Callable[[Scope], Identity | Mapping[str, object] | None]

#: Seconds that a request waits at most for each function of the gateway's own.
WITHIN: Final = 0.1
FAILURES: Final = "spanflow.identity.extractor.failures"

_OFF: Final = "off"
_FIELDS: Final = frozenset({"user_id", "email", "full_name", "session_id", "conversation_id", "source", "team"})


class HeaderExtractor:
    """Reads identity headers, of trusted peers only: any client can send a header."""

    def __init__(self, headers: Mapping[str, str], trusted: TrustedPeers) -> None:
        self._fields = {name.strip().lower().encode("latin-1", "replace"): field for field, name in headers.items()}
        self._trusted = trusted

    @classmethod
    def from_settings(cls, settings: Settings) -> "HeaderExtractor":
        headers = {
            "user_id": settings.user_id_header,
            "email": settings.email_header,
            "session_id": settings.session_id_header,
            "conversation_id": settings.conversation_id_header,
            "source": settings.source_header,
            "team": settings.team_header,
        }
        used = {field: name for field, name in headers.items() if name.strip().lower() != _OFF}
        return cls(used, TrustedPeers(settings.trusted_peers))

    def __call__(self, scope: Scope) -> Identity | None:
        headers: dict[str, bytes | None] = {}
        for name, value in scope.get("headers", ()):
            field = self._fields.get(name)
            if field is not None:
                # A header that comes twice with different values was added to a client's own: neither is believed.
                headers[field] = value if headers.get(field, value) == value else None
        if not headers or not self._trusted.includes(scope):
            return None
        return clean_identity(**{field: _text(value) for field, value in headers.items() if value})


class NamedExtractor:
    """A function of the gateway's own that a setting names. Imported when the first request comes: before that, the
    gateway's modules may not be imported by anybody but the gateway."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._function: Extractor | None = None

    def __repr__(self) -> str:
        return self._name

    def __call__(self, scope: Scope) -> Identity | Mapping[str, object] | None:
        if self._function is None:
            module, _, path = self._name.partition(":")
            self._function = attrgetter(path)(import_module(module))
        return self._function(scope)


class Extractors:
    """What stands in the request, then functions of the gateway's own in order; what a later one knows counts."""

    def __init__(self, readers: Sequence[Callable[[Scope], Identity | None]], within: float = WITHIN) -> None:
        self._readers = readers
        self._within = within
        #: Each with threads of its own: one that hangs takes nothing from the others.
        self._own: dict[Extractor, BoundedCalls] = {}
        self._failures: metrics.Counter | None = None

    def add(self, extractors: Sequence[Extractor]) -> None:
        for extractor in extractors:
            self._own.setdefault(extractor, BoundedCalls(self._within))

    async def identity(self, scope: Scope) -> Identity:
        identity = NOBODY
        for read in self._readers:
            try:
                identity = learned(identity, read(scope) or NOBODY)
            except Exception:
                say_once("headers", "The identity headers of a request could not be read", exc_info=True)
        for extractor, call in list(self._own.items()):
            try:
                identity = learned(identity, await call(partial(_asked, extractor), scope))
            except TimeoutError:
                self._count("timeout")
                say_once(
                    f"slow {extractor!r}",
                    "The identity extractor %r did not answer in time; requests go on without what it knows",
                    extractor,
                )
            except Exception as why:
                self._count(type(why).__qualname__)
                say_once(f"extractor {extractor!r}", "The identity extractor %r failed", extractor, exc_info=True)
        return identity

    def _count(self, reason: str) -> None:
        if self._failures is None:
            self._failures = metrics.get_meter(SCOPE).create_counter(
                FAILURES, "{call}", "Calls of the gateway's own identity extractors that failed or took too long."
            )
        self._failures.add(1, {"error.type": reason})


def _asked(extractor: Extractor, scope: Scope) -> Identity:
    answer = extractor(scope)
    if not answer:
        return NOBODY
    return answer if isinstance(answer, Identity) else _of_mapping(answer)


def _of_mapping(found: Mapping[str, object]) -> Identity:
    return clean_identity(**{field: value for field, value in found.items() if field in _FIELDS})


def _text(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()
