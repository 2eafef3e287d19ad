"""What two spans say differently, by JSON path."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import orjson

#: Differences shown for one step; the rest are counted.
MAX_DIFFERENCES: Final = 20
MAX_TEXT: Final = 200
#: A longer text is compared as a text, not as the JSON that it may be.
_MAX_JSON: Final = 64 * 1024
#: Places of one step that are looked at.
_MAX_VISITED: Final = 5_000
#: The arguments of a call, and nothing else.
_ARGUMENTS: Final = frozenset(
    {
        "gen_ai.tool.call.arguments",
        "flow.data.arguments",
        "flow.data.args",
        "flow.data.params",
        "tool.parameters",
        "input.value",
        "traceloop.entity.input",
        "tool_arguments",
    }
)
#: Names of attributes that are another value in every flow, and say nothing.
_VOLATILE: Final = (".id", "_id", ".uuid", ".port", ".pid", "thread.name", "_ms")
_ABSENT: Final = object()
#: A path within an attribute, and what stands there in one and in the other.
_Inner: TypeAlias = tuple[str, Any, Any]


def is_argument(path: str) -> bool:
    """Whether a difference at this path is one of what a call was asked to do."""
    return path in _ARGUMENTS or any(path.startswith((f"{name}.", f"{name}[")) for name in _ARGUMENTS)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """`(path, value in one, value in the other)`, None where it is missing. Arguments come first, each once, however
    many instrumentations have recorded them."""
    if one == other:
        return
    told: list[_Inner] = []
    names = sorted({*one, *other}, key=lambda name: (name not in _ARGUMENTS, name))
    for name in names:
        left, right = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if left == right or name.endswith(_VOLATILE):
            continue
        inner = list(_inside(_parsed(left), _parsed(right)))
        if name in _ARGUMENTS:
            inner = [each for each in inner if not _among(told, each)]
            told += inner
        yield from ((name + path, a, b) for path, a, b in inner)


def _among(told: Iterable[_Inner], argument: _Inner) -> bool:
    """Whether another attribute has the same: some hold the arguments alone, some the whole call."""
    path, left, right = argument
    return any((path.endswith(other) or other.endswith(path)) and (a, b) == (left, right) for other, a, b in told)


def shown(value: Any) -> Any:
    """A value short enough to be shown in a list."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, dict | list):
        return shown(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
    return value


def _parsed(value: Any) -> Any:
    """JSON that is carried as a text."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= _MAX_JSON:
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value


def _inside(one: Any, other: Any) -> Iterator[_Inner]:
    stack = [("", one, other)]
    for _ in range(_MAX_VISITED):
        if not stack:
            return
        path, left, right = stack.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            keys = sorted({*left, *right}, reverse=True)
            stack += [(f"{path}.{key}", left.get(key, _ABSENT), right.get(key, _ABSENT)) for key in keys]
        elif isinstance(left, list) and isinstance(right, list):
            for place in range(max(len(left), len(right)) - 1, -1, -1):
                a, b = (values[place] if place < len(values) else _ABSENT for values in (left, right))
                stack.append((f"{path}[{place}]", a, b))
        elif left != right or type(left) is not type(right):
            yield path, None if left is _ABSENT else left, None if right is _ABSENT else right
