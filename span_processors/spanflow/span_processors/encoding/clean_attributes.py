"""Attributes without secrets and as JSON, at once when they, or each of their values, have been seen before."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import orjson

from spanflow.span_processors import names, native
from spanflow.span_processors.encoding.native_attributes import NativeAttributes
from spanflow.span_processors.event.json_safe import SafeValues, is_plain
from spanflow.span_processors.ids import MAX_SAFE_INTEGER
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.tree.identity_aliases import ALIASES

_REMEMBERED: Final = 8192
_REMEMBERED_LENGTH: Final = 128
#: Whole sets of attributes that are remembered, and how long they may be as JSON.
_REMEMBERED_SETS: Final = 4096
_REMEMBERED_SET_LENGTH: Final = 256
#: A NUL, which Postgres cannot keep.
_BAD_TEXT: Final = b"\\u0000"
#: None, but also NaN.
_NOTHING: Final = b"null"

#: Attributes as JSON, their `types` as JSON (empty where there are none), a mapping with the names in that JSON, how
#: many values were hidden, and whether they say whose flow it is.
Clean: TypeAlias = tuple[bytes, bytes, Mapping[str, Any], int, bool]

#: Those attributes that say whose flow it is, with their values.
Who: TypeAlias = tuple[tuple[str, Any], ...]

#: Attributes that say whose flow it is; one of these is among them whenever it is said at all.
_WHO: Final = frozenset({names.ATTR_USER_ID, names.ATTR_FLOW_SESSION_ID, names.ATTR_CONVERSATION_ID}) | ALIASES


class CleanAttributes:
    """Remembers what needs neither redaction nor conversion. Used by the encoder's thread only."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        core = native.chosen(redactor.policy.native)
        self._native = None if core is None else NativeAttributes(core, redactor)
        #: Texts with their keys, keys of which any text is kept, and keys of numbers.
        self._texts: set[tuple[str, str]] = set()
        self._kept_keys: set[str] = set()
        self._number_keys: set[str] = set()
        #: Whole sets of attributes as JSON: many checkpoints say the same every time.
        self._sets: dict[bytes, Clean] = {}

    def __call__(self, attributes: Mapping[str, Any]) -> Clean:
        """The attributes as they may be seen, in a form that JSON can carry."""
        written = _as_they_are(attributes)
        cached = self._sets.get(written)
        if cached is not None:
            return cached
        clean, hidden = attributes, 0
        if not written or not self._all_known(attributes):
            if self._native is not None and (done := self._native(attributes)) is not None:
                if done == (written, b"", attributes, 0):
                    self._remember(attributes)
                return self._remembered(written, (*done, says_who(attributes)))
            clean, hidden = self._redactor.attributes(attributes)
            if not is_plain(clean):
                written = b""
            elif clean is not attributes:
                written = _as_they_are(clean)
            elif written and not hidden:
                self._remember(attributes)
        if not written or _BAD_TEXT in written:
            clean, specs = SafeValues().attributes(clean)
            return orjson.dumps(clean), orjson.dumps(specs) if specs else b"", clean, hidden, says_who(attributes)
        return self._remembered(written, (written, b"", clean, hidden, says_who(attributes)))

    def _remembered(self, given: bytes, cleaned: Clean) -> Clean:
        if not cleaned[3] and 0 < len(given) <= _REMEMBERED_SET_LENGTH and _NOTHING not in given:
            if len(self._sets) >= _REMEMBERED_SETS:
                self._sets.clear()
            self._sets[given] = cleaned
        return cleaned

    def _all_known(self, attributes: Mapping[str, Any]) -> bool:
        texts = self._texts
        kept_keys = self._kept_keys
        number_keys = self._number_keys
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                if (key, value) in texts or key in kept_keys:
                    continue
            elif key in number_keys and (
                kind is bool
                # A double without a fraction has to be marked as one.
                or ((kind is int or (kind is float and value % 1)) and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
            ):
                continue
            return False
        return True

    def _remember(self, attributes: Mapping[str, Any]) -> None:
        if len(self._texts) + len(self._kept_keys) + len(self._number_keys) > _REMEMBERED:
            self._texts.clear()
            self._kept_keys.clear()
            self._number_keys.clear()
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                if self._redactor.keeps(key):
                    self._kept_keys.add(key)
                elif len(value) <= _REMEMBERED_LENGTH:
                    self._texts.add((key, value))
            elif kind is int or kind is float or kind is bool:
                self._number_keys.add(key)


def _as_they_are(attributes: Mapping[str, Any]) -> bytes:
    """The attributes as JSON, empty when some value is nothing that JSON can say."""
    try:
        return orjson.dumps(attributes)
    except (TypeError, ValueError):
        return b""


def says_who(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes say whose flow it is."""
    return not _WHO.isdisjoint(attributes)


def who_of(attributes: Mapping[str, Any]) -> Who:
    """What attributes say of whose flow it is."""
    return tuple((key, value) for key, value in attributes.items() if key in _WHO)
