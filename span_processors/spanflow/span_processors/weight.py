"""What an entry of the queue occupies, roughly: what counts is that a megabyte is seen as one."""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan

from spanflow.span_processors.span_attributes import attributes_in_place

#: What an entry occupies beside its texts: the span, its dictionaries, a context.
BASE_WEIGHT: Final = 1024
_SMALL: Final = frozenset({int, float, bool, type(None)})


def weight_of_span(span: ReadableSpan) -> int:
    """The weight of an ended span."""
    return weight_of(attributes_in_place(span))


def weight_of(attributes: Mapping[str, Any]) -> int:
    """The weight of an entry with such values."""
    weight = BASE_WEIGHT
    for value in attributes.values():
        kind = type(value)
        if kind is str or kind is bytes:
            weight += len(value)
        elif kind not in _SMALL:
            weight += _nested_weight(value)
    return weight


def _nested_weight(value: Any) -> int:
    weight = 0
    stack = [value]
    while stack:
        item = stack.pop()
        weight += 64
        if isinstance(item, str | bytes):
            weight += len(item)
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return weight
