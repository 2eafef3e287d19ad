"""Makes whatever a gateway hands over fit for a span attribute, without ever raising.

A lone surrogate or an integer beyond 64 bits makes an OTLP exporter lose its whole batch, so both are repaired here.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any, Final

from opentelemetry.util.types import AnyValue

from spanflow.span_processors.redaction.value_cleaner import OVERLAP

MAX_TEXT: Final = 8192
MAX_ITEMS: Final = 256
MAX_DEPTH: Final = 8
#: Items of all levels together: a list that contains itself many times has any number of them.
MAX_NODES: Final = 4096
#: The same for values that an application gives to a span itself; what is beyond would hang or end its request in the
#: SDK, which copies it to its bottom.
_MAX_GIVEN_DEPTH: Final = 64
_MAX_GIVEN_NODES: Final = 100_000
_TOO_DEEP: Final = "[nested too deep]"
_TOO_LARGE: Final = "[too large]"
_INT64: Final = 2**63


def attribute_value(
    value: object, max_text: int = MAX_TEXT, depth: int = 0, nodes: Iterator[int] | None = None
) -> AnyValue:
    """`value` as an attribute may hold it: bounded, copied, and as text where OpenTelemetry has no type for it.

    Texts are not shortened: a redactor does that with at most `max_text` characters of each, and must see more, since
    half of a secret would not be found. `nodes` gives a number for each item that may still be copied.
    """
    if type(value) is str:  # nearly all of them
        return value if value.isascii() else _uncut(value, max_text)
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Enum):
        return attribute_value(value.value, max_text, depth, nodes)
    if isinstance(value, str):
        return _uncut(str.__str__(value), max_text)
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else short_text(value, max_text)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[: max_text + OVERLAP])
    if depth >= MAX_DEPTH:
        return _TOO_DEEP
    nodes = iter(range(MAX_NODES)) if nodes is None else nodes
    try:
        if isinstance(value, Mapping):
            return _mapping(value, max_text, depth, nodes)
        if isinstance(value, Sequence | set | frozenset):
            items = islice(value, MAX_ITEMS)
            return [attribute_value(item, max_text, depth + 1, nodes) for _, item in zip(nodes, items, strict=False)]
    except Exception:  # a container of the application's own may raise when it is read
        return f"[unreadable {type(value).__name__}]"
    return _uncut(short_text(value, sys.maxsize), max_text)


def _uncut(value: str, max_text: int) -> str:
    """The whole text, without lone surrogates as far as it will be read."""
    head = text_value(value, max_text + OVERLAP)
    return value if value.startswith(head) else head + value[len(head) :]


def _mapping(value: Mapping[Any, Any], max_text: int, depth: int, nodes: Iterator[int]) -> dict[str, AnyValue]:
    pairs = list(islice(value.items(), MAX_ITEMS))
    return {
        short_text(key, 128): attribute_value(item, max_text, depth + 1, nodes)
        for _, (key, item) in zip(nodes, pairs, strict=False)
        if key
    }


def given_value(value: Any) -> Any:
    """`value` itself, or a placeholder text if copying it would take too long, never end or raise."""
    return value if is_single(value) else _refusal(value) or value


def is_single(value: object) -> bool:
    """Whether it holds no others."""
    return isinstance(value, str | bytes | bytearray) or not isinstance(value, Mapping | Sequence)


def _refusal(value: object) -> str:
    left = _MAX_GIVEN_NODES
    waiting: list[tuple[Any, int]] = [(value, 0)]
    try:
        while waiting:
            container, depth = waiting.pop()
            if depth >= _MAX_GIVEN_DEPTH:
                return _TOO_DEEP
            items = list(islice(container.values() if isinstance(container, Mapping) else container, left + 1))
            left -= len(items)
            if left < 0:
                return _TOO_LARGE
            waiting += [(item, depth + 1) for item in items if not is_single(item)]
    except Exception:  # a container of the application's own may raise when it is read
        return f"[unreadable {type(value).__name__}]"
    return ""


def text_value(value: str, max_text: int = MAX_TEXT) -> str:
    """The text, cut, and with every lone surrogate replaced."""
    if len(value) > max_text:
        value = value[:max_text]
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value


def short_text(value: object, max_text: int = MAX_TEXT) -> str:
    """`str(value)`, also for objects whose `__str__` raises."""
    if type(value) is str and len(value) <= max_text and value.isascii():
        return value
    try:
        return text_value(str(value), max_text)
    except Exception:
        return f"[unreadable {type(value).__name__}]"
