"""Where a request's identity comes from: headers that a forward-auth proxy sets, or a function of the gateway's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from spanflow.instrumentation.identify import clean_identity
from spanflow.instrumentation.known_flows import learned
from spanflow.instrumentation.runtime import say_once
from spanflow.instrumentation.trusted_peers import TrustedPeers
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.settings import Settings

Scope = Mapping[str, Any]
#: Looks at an ASGI scope and says what it knows: an `Identity`, its fields as a mapping, or None.
Extractor = Callable[[Scope], Identity | Mapping[str, object] | None]

_OFF: Final = "off"
_FIELDS: Final = frozenset({"user_id", "email", "full_name", "session_id", "conversation_id", "source", "team"})


class HeaderExtractor:
    """Reads identity headers, of trusted peers only: anybody can send a header."""

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
        found: dict[str, bytes | None] = {}
        for name, value in scope.get("headers", ()):
            field = self._fields.get(name)
            if field is not None:
                # A header that comes twice with different values was added to a client's own: neither is believed.
                found[field] = value if found.get(field, value) == value else None
        if not found or not self._trusted.includes(scope):
            return None
        return clean_identity(**{field: _text(value) for field, value in found.items() if value})


class Extractors:
    """All of them, in order; what a later one knows counts."""

    def __init__(self, extractors: Sequence[Extractor]) -> None:
        self._extractors = list(extractors)

    def add(self, extractors: Sequence[Extractor]) -> None:
        self._extractors.extend(new for new in extractors if new not in self._extractors)

    def identity(self, scope: Scope) -> Identity:
        identity = NOBODY
        for extractor in self._extractors:
            try:
                found = extractor(scope)
                if found:
                    identity = learned(identity, found if isinstance(found, Identity) else _of_mapping(found))
            except Exception:
                say_once(f"extractor {extractor!r}", "The identity extractor %r failed", extractor, exc_info=True)
        return identity


def _of_mapping(found: Mapping[str, object]) -> Identity:
    return clean_identity(**{field: value for field, value in found.items() if field in _FIELDS})


def _text(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()
