"""Redaction and the check for JSON in one pass over values that have mostly been seen before."""

from collections.abc import Mapping
from typing import Any, Final

from spanflow.span_processors.event.json_safe import is_plain
from spanflow.span_processors.ids import MAX_SAFE_INTEGER
from spanflow.span_processors.redaction.redaction import Redactor

_REMEMBERED: Final = 8192
_REMEMBERED_LENGTH: Final = 128


class CleanAttributes:
    """Remembers what needs neither redaction nor conversion. Used by the encoder's thread only."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        #: Texts with their keys, keys of which any text is kept, and keys of numbers.
        self._texts: set[tuple[str, str]] = set()
        self._kept_keys: set[str] = set()
        self._number_keys: set[str] = set()

    def __call__(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, bool]:
        """The attributes without secrets, how many were hidden, and whether they can be written as they are."""
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
            return self._slowly(attributes)
        return attributes, 0, True

    def _slowly(self, attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, bool]:
        clean, hidden = self._redactor.attributes(attributes)
        plain = is_plain(clean)
        if clean is attributes and not hidden and plain:
            self._remember(attributes)
        return clean, hidden, plain

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
