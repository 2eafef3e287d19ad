"""Attribute values as JSON that every reader keeps: JSONB, JavaScript and Redis alike, and back again without loss.

JSON cannot say that 3.0 is a double, cannot carry bytes or NaN, and JavaScript rounds integers beyond 2^53-1. Such a
value is written in a form that JSON can carry, and `types` names it beside: `{"attributes": {"n": "9007199254740993"},
"types": {"n": "int"}}`. A nested value has a nested entry: `{"types": {"list": {"2": "bytes"}}}`.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from spanflow.span_processors.ids import MAX_SAFE_INTEGER

#: "int", "double" or "bytes", or the same for some members of a list or an object.
TypeSpec: TypeAlias = str | dict[str, "TypeSpec"]

INT: Final = "int"
DOUBLE: Final = "double"
BYTES: Final = "bytes"

#: What lies deeper, or comes after so many values, is replaced by a mark: JSON readers have limits of their own.
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 10_000
CUT: Final = "…"

_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_REPLACEMENT: Final = "\ufffd"


def safe_text(value: str) -> str:
    """The text without NUL (which Postgres cannot store) and lone surrogates (which are no Unicode)."""
    text = str.__str__(value).replace("\x00", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_REPLACEMENT if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


class SafeValues:
    """Turns values into safe ones, within one budget of values."""

    def __init__(self, budget: int = MAX_VALUES) -> None:
        self._budget = budget

    def attributes(self, attributes: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, TypeSpec]]:
        """Safe attributes and the `types` that belong beside them."""
        values: dict[str, Any] = {}
        types: dict[str, TypeSpec] = {}
        for key, value in attributes.items():
            name = safe_text(key) if isinstance(key, str) else safe_text(_described(key))
            values[name], spec = self.convert(value)
            if spec is not None:
                types[name] = spec
        return values, types

    def convert(self, value: Any, depth: int = 0) -> tuple[Any, TypeSpec | None]:
        """The safe value, and its type where JSON cannot tell it."""
        self._budget -= 1
        if self._budget < 0 or depth > MAX_DEPTH:
            return CUT, None
        if value is None or isinstance(value, bool):
            return value, None
        if isinstance(value, str):
            return safe_text(value), None
        if isinstance(value, int):
            number = int(value)
            return (number, None) if abs(number) <= MAX_SAFE_INTEGER else (_decimal(number), INT)
        if isinstance(value, float):
            return _double(float(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return base64.b64encode(bytes(value)).decode(), BYTES
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(list(value), depth)
        return safe_text(_described(value)), None

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> tuple[dict[str, Any], TypeSpec | None]:
        members: dict[str, Any] = {}
        types: dict[str, TypeSpec] = {}
        for key, member in value.items():
            if self._budget <= 0:
                break
            name = safe_text(key) if isinstance(key, str) else safe_text(_described(key))
            members[name], spec = self.convert(member, depth + 1)
            if spec is not None:
                types[name] = spec
        return members, types or None

    def _sequence(self, value: list[Any], depth: int) -> tuple[list[Any], TypeSpec | None]:
        members: list[Any] = []
        types: dict[str, TypeSpec] = {}
        for index, member in enumerate(value):
            if self._budget <= 0:
                members.append(CUT)
                break
            safe, spec = self.convert(member, depth + 1)
            members.append(safe)
            if spec is not None:
                types[str(index)] = spec
        return members, types or None


def restored_attributes(attributes: Mapping[str, Any], types: Mapping[str, TypeSpec] | None) -> dict[str, Any]:
    """The attributes as the span had them: large integers, bytes and doubles are themselves again."""
    if not types:
        return dict(attributes)
    return {key: _restored(value, types.get(key)) for key, value in attributes.items()}


def _restored(value: Any, spec: TypeSpec | None) -> Any:
    if spec is None:
        return value
    if isinstance(spec, Mapping):
        if isinstance(value, dict):
            return {key: _restored(member, spec.get(key)) for key, member in value.items()}
        if isinstance(value, list):
            return [_restored(member, spec.get(str(index))) for index, member in enumerate(value)]
        return value
    try:
        if spec == INT:
            return int(value)
        if spec == DOUBLE:
            return _NON_FINITE[value] if isinstance(value, str) else float(value)
        if spec == BYTES:
            return base64.b64decode(value, validate=True)
    except (ValueError, TypeError, KeyError):
        return value
    return value


def _double(number: float) -> tuple[Any, TypeSpec | None]:
    if not math.isfinite(number):
        return ("NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"), DOUBLE
    if not number.is_integer():
        return number, None
    # A minus zero has no integer to stand for it.
    small = abs(number) <= MAX_SAFE_INTEGER and not (number == 0 and math.copysign(1, number) < 0)
    return (int(number) if small else number), DOUBLE


def _decimal(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than Python converts: sys.set_int_max_str_digits
        return hex(number)


def _described(value: object) -> str:
    try:
        return str(value)
    except Exception:  # the application's own __str__ may do anything
        return f"<{type(value).__name__}>"


def is_plain(attributes: Mapping[str, Any]) -> bool:
    """Whether every value can be written as it is; the quick test that spares most events the slow way.

    Text is not looked at here: the JSON writer refuses lone surrogates, and a NUL shows in what it wrote.
    """
    for value in attributes.values():
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            continue
        if kind is float and math.isfinite(value) and not value.is_integer():
            continue
        if (kind is tuple or kind is list) and all(type(member) is str for member in value):
            continue
        return False
    return True
