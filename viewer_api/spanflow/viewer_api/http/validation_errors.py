"""What is wrong with a request, in words for its author.

The validator says it in its own: where a body may have one of two forms it tells what is wrong with each, under the
names of our classes.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

_BODY: Final = "body"
#: A step of a place that is no name of a field, but one of the forms that are allowed there.
_FORM: Final = re.compile(r"[A-Z]\w*|[\w-]+\[.*\]|int|float|str")


def told(error: RequestValidationError) -> list[dict[str, str]]:
    """Where, and why. The refused value is not repeated: it may be a secret that was sent to the wrong place."""
    errors: dict[str, list[str]] = {}
    for where, why in _each(error):
        whys = errors.setdefault(where, [])
        if why not in whys:
            whys.append(why)
    return [{"where": where, "why": ", or: ".join(whys)} for where, whys in errors.items()]


def _each(error: RequestValidationError) -> Iterator[tuple[str, str]]:
    for each in error.errors():
        place: list[Any] = list(each["loc"])
        if each["type"] == "json_invalid":
            yield _BODY, f"Not JSON, from character {place[-1]} on: {each['ctx']['error']}"
        elif place[0] != _BODY:
            yield _named(place), _why(each)
        elif isinstance(error.body, bytes):
            # Of another type than JSON it was not even read.
            yield _BODY, "Send JSON with Content-Type: application/json"
        elif len(place) > 1 and _is_form(place[1]):
            if not isinstance(error.body, dict | list):
                yield _BODY, "Input should be an object or a list"
            elif str(place[1]).startswith("list[") == isinstance(error.body, list):
                yield _named(place), _why(each)
        else:
            yield _named(place), _why(each)


def _why(each: Any) -> str:
    return str(each["msg"]).removeprefix("Value error, ")


def _named(place: list[Any]) -> str:
    return ".".join(str(step) for step in place if not _is_form(step))


def _is_form(step: Any) -> bool:
    return isinstance(step, str) and _FORM.fullmatch(step) is not None
