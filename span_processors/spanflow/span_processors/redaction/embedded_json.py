"""JSON inside of texts: bodies of requests, messages of errors, other JSON."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

#: Commas and colons of a text that is read as JSON. What has more is left to the patterns, which are quicker.
_MOST_MEMBERS: Final = 1000
#: Beginnings that turn out to be none.
_MOST_ATTEMPTS: Final = 8
_BEGINNING: Final = re.compile(r"[{\[]")
_read: Final = json.JSONDecoder().raw_decode


def replace_json(text: str, clean: Callable[[Any], Any]) -> str:
    """The text with each object and list in it as `clean` gives it back; what that gives back unchanged stays."""
    if text.count(",") + text.count(":") > _MOST_MEMBERS:
        return text
    parts: list[str] = []
    done = position = attempts = 0
    while attempts < _MOST_ATTEMPTS and (beginning := _BEGINNING.search(text, position)) is not None:
        start = beginning.start()
        try:
            value, position = _read(text, start)
        except (ValueError, RecursionError):
            attempts += 1
            position = start + 1
            continue
        cleaned = clean(value)
        if cleaned is not value:
            parts += text[done:start], json.dumps(cleaned, ensure_ascii=False, separators=(",", ":"))
            done = position
    return "".join([*parts, text[done:]]) if parts else text
