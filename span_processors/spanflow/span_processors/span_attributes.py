"""A span's attributes as a plain dict, for the request's thread: quick, and safe while other threads still add some."""

from collections.abc import Mapping
from typing import Any, Final, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan


class LendingAttributes(BoundedAttributes):
    """The SDK's attributes, which may be lent as they are: they are copied when the first one changes, if one does."""

    _lent = False

    def lend(self) -> dict[str, Any]:
        """The attributes as they are now. For the span's own thread, before anybody else knows the span."""
        self._lent = True
        return self._dict

    def _setitem_locked(self, key: str, value: Any) -> None:
        self._take_back()
        super()._setitem_locked(key, value)

    def __delitem__(self, key: str) -> None:
        self._take_back()
        super().__delitem__(key)

    def _take_back(self) -> None:
        if self._lent:
            self._dict = self._dict.copy()
            self._lent = False


_OWN: Final = frozenset({BoundedAttributes, LendingAttributes})


def first_attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Attributes of a span that is just being started, which will not change."""
    own = getattr(span, "_attributes", None)
    return own.lend() if type(own) is LendingAttributes else attributes_of(span)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """A copy. The SDK's attributes copy themselves in one step, so a writer on another thread does no harm.

    The public property wraps them first, which costs more than the copy.
    """
    own: Any = getattr(span, "_attributes", None)
    if type(own) in _OWN:
        return cast(dict[str, Any], own.copy())
    return dict(span.attributes or {})


def final_attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """An ended span's attributes: nobody changes them any more, so they need not be copied."""
    own: Any = getattr(span, "_attributes", None)
    if type(own) in _OWN:
        return cast(Mapping[str, Any], own._dict)
    return span.attributes or {}
