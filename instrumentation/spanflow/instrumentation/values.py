"""Makes whatever a gateway hands over fit for a span attribute, without ever raising.

A lone surrogate or an integer beyond 64 bits makes an OTLP exporter lose its whole batch, so both are repaired here.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from opentelemetry.util.types import AnyValue

MAX_TEXT: Final = 8192
MAX_ITEMS: Final = 256
MAX_DEPTH: Final = 8
_INT64: Final = 2**63


def attribute_value(value: object, max_text: int = MAX_TEXT, depth: int = 0) -> AnyValue:
    """`value` as an attribute may hold it: cut, copied, and as text where OpenTelemetry has no type for it."""
    if type(value) is str:  # nearly all of them
        return value if len(value) <= max_text and value.isascii() else text_value(value, max_text)
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Enum):
        return attribute_value(value.value, max_text, depth)
    if isinstance(value, str):
        return text_value(value, max_text)
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else short_text(value, max_text)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:max_text])
    if depth >= MAX_DEPTH:
        return "[nested too deep]"
    try:
        if isinstance(value, Mapping):
            return _mapping(value, max_text, depth)
        if isinstance(value, Sequence | set | frozenset):
            items = [item for item, _ in zip(value, range(MAX_ITEMS), strict=False)]
            return [attribute_value(item, max_text, depth + 1) for item in items]
    except Exception:  # a container of the application's own may raise when it is read
        return f"[unreadable {type(value).__name__}]"
    return short_text(value, max_text)


def _mapping(value: Mapping[Any, Any], max_text: int, depth: int) -> dict[str, AnyValue]:
    pairs = [pair for pair, _ in zip(value.items(), range(MAX_ITEMS), strict=False)]
    return {short_text(key, 128): attribute_value(item, max_text, depth + 1) for key, item in pairs if key}


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
