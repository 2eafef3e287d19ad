"""A span's attributes as a plain dict, for the request's thread: quick, and safe while other threads still add some."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, Span

from spanflow.span_processors.opentelemetry_versions import unpacking

_NOTHING: Final[Mapping[str, str]] = {}


class LendingAttributes(BoundedAttributes):
    """The SDK's attributes, which may be lent as they are: they are copied when the first one changes, if one does.

    What every span of a flow says can be shared by all of them: readers see it as part of the attributes, and the
    encoder writes it once. The span's own attributes come before it.
    """

    _lent = False
    #: Attributes have only been added since they were lent, in the order in which they stand.
    only_added = True
    #: What other spans say as well. It never changes, nor does it once the span is published.
    shared: Mapping[str, str] = _NOTHING

    def lend(self) -> dict[str, Any]:
        """The attributes as they are now. Only for the span's own thread, before the span is published."""
        self._lent = True
        return self._dict

    def put_first(self, attributes: Mapping[str, str]) -> bool:
        """Add some before the span is published; returns False and does nothing if they might not fit."""
        if len(self._dict) + len(attributes) > (self.maxlen or 0):
            return False
        if self._lent:
            self._take_back()
            self.only_added = False
        self._dict.update(attributes)
        return True

    def share(self, attributes: Mapping[str, str]) -> bool:
        """Say these without holding them, before the span is published; returns False and does nothing if they might
        not fit, or if the span says one of them itself."""
        own = self._dict
        room = (self.maxlen or 0) - len(attributes)
        if self.shared or len(own) > room or not own.keys().isdisjoint(attributes):
            return False
        self.shared = attributes
        self.maxlen = room
        return True

    def put(self, key: str, value: Any) -> None:
        """Set one that the SDK would keep as it is."""
        with self._lock:
            if self._lent:
                self._take_back()
            held = self._dict
            if key in held or len(held) >= (self.maxlen or 0):
                self._setitem_locked(key, value)
            else:
                held[key] = value

    def room(self) -> int:
        """How many fit in, at least."""
        return (self.maxlen or 0) - len(self._dict)

    def copy(self) -> dict[str, Any]:
        return {**self.shared, **self._dict} if self.shared else self._dict.copy()

    def __getitem__(self, key: str) -> Any:
        own = self._dict
        return own[key] if key in own else self.shared[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy()) if self.shared else len(self._dict)

    def __repr__(self) -> str:
        return repr(self.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundedAttributes:
        own = super().__deepcopy__(memo)
        own._dict = {**self.shared, **own._dict}
        return own

    def _setitem_locked(self, key: str, value: Any) -> None:
        if self._lent:
            self._take_back()
        if key in self._dict or len(self._dict) >= (self.maxlen or 0):
            self.only_added = False
        super()._setitem_locked(key, value)

    def __delitem__(self, key: str) -> None:
        self._raise_if_immutable()
        if self._lent or self.shared:
            self._dict, self._lent, self.shared = self.copy(), False, _NOTHING
        self.only_added = False
        super().__delitem__(key)

    def _take_back(self) -> None:
        self._dict = self._dict.copy()
        self._lent = False


_OWN: Final = frozenset({BoundedAttributes, LendingAttributes})


def first_attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """A starting span's own attributes, which will not change."""
    own = getattr(span, "_attributes", None)
    return own.lend() if type(own) is LendingAttributes else attributes_of(span)


def shared_attributes_of(span: ReadableSpan) -> Mapping[str, str]:
    """What a span says beside its own attributes, and other spans as well."""
    own = getattr(span, "_attributes", None)
    return own.shared if type(own) is LendingAttributes else _NOTHING


@unpacking
def copied(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy. The SDK's attributes copy themselves in one step, so a writer on another thread does no harm.

    To iterate over them would take their lock, which a forked child could find held for ever.
    """
    own: Any = attributes
    if type(own) in _OWN:
        copy: dict[str, Any] = own.copy()
        return copy
    return dict(attributes or {})


@unpacking
def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """A copy of its own ones. The public property wraps the attributes first, which costs more than that."""
    own: Any = getattr(span, "_attributes", None)
    return own._dict.copy() if type(own) in _OWN else copied(span.attributes)


def share(span: Span, attributes: Mapping[str, str]) -> None:
    """Say what every span of a flow says, on one that is just being started."""
    own = getattr(span, "_attributes", None)
    if type(own) is not LendingAttributes or not own.share(attributes):
        put_first(span, attributes)


def put_first(span: Span, attributes: Mapping[str, str]) -> None:
    """Add attributes to a span that is just being started."""
    own = getattr(span, "_attributes", None)
    if type(own) is LendingAttributes and own.put_first(attributes):
        return
    if not attributes.items() <= attributes_in_place(span).items():
        span.set_attributes(attributes)


@unpacking
def attributes_in_place(span: ReadableSpan) -> Mapping[str, Any]:
    """Its own ones, not copied: only for a span that is starting or has ended, whose attributes no longer change."""
    own: Any = getattr(span, "_attributes", None)
    if type(own) in _OWN:
        in_place: Mapping[str, Any] = own._dict
        return in_place
    return span.attributes or {}
