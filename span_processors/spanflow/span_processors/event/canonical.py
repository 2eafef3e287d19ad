"""One text for one JSON value, the same in Python and in the dashboard's TypeScript.

It only decides between two different events of the same span and phase, so it may be slow, but both languages must
come to the same decision: keys in code point order, numbers as ECMAScript writes them, strings as UTF-8.
"""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from spanflow.span_processors.ids import MAX_SAFE_INTEGER


def canonical(value: Any) -> bytes:
    """The canonical bytes of a JSON value. It does not recurse, so depth does not matter."""
    parts: list[bytes] = []
    stack: list[Iterator[bytes | tuple[Any]]] = [iter([(value,)])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
        elif isinstance(step, bytes):
            parts.append(step)
        else:
            (item,) = step
            if isinstance(item, dict):
                stack.append(_of_object(item))
            elif isinstance(item, list | tuple):
                stack.append(_of_array(item))
            else:
                parts.append(_scalar(item))
    return b"".join(parts)


def _of_object(item: dict[str, Any]) -> Iterator[bytes | tuple[Any]]:
    yield b"{"
    for index, key in enumerate(sorted(item)):
        yield (b"," if index else b"") + _scalar(key) + b":"
        yield (item[key],)
    yield b"}"


def _of_array(item: list[Any] | tuple[Any, ...]) -> Iterator[bytes | tuple[Any]]:
    yield b"["
    for index, element in enumerate(item):
        if index:
            yield b","
        yield (element,)
    yield b"]"


def _scalar(item: Any) -> bytes:
    if isinstance(item, float) or (type(item) is int and abs(item) > MAX_SAFE_INTEGER):
        return _number(_as_double(item))
    try:
        return orjson.dumps(item)
    except TypeError:  # not JSON at all; it still has to have a place in the order
        return repr(item).encode(errors="backslashreplace")


def _as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _number(number: float) -> bytes:
    """A double as `JSON.stringify` writes it: plain digits from 1e-6 up to 1e21, an exponent beyond."""
    if not math.isfinite(number):
        return b"null"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return b"0"
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{rest}e{point - 1:+d}"
    return (sign + text).encode()
