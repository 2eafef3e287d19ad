"""Names for server spans that their instrumentation could only name `GET`: no route had matched yet, or none ever does.

The path says more, but its parts may be anything: ids, keys, whatever a scanner tries. So a name keeps the first parts
that look like words, and only so many different names are made.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

METHODS: Final = frozenset(
    {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY", "HTTP", "_OTHER"}
)
_PATHS: Final = ("http.route", "url.path", "http.target", "http.url")
_MAX_PARTS: Final = 4
#: A word of an API, or its version; what has digits, capitals within or great length is an id of something.
_WORD: Final = re.compile(r"(?:[A-Za-z][a-z]{0,23}|v[0-9]{1,3})(?:[_.-](?:[a-z]{1,23}|v?[0-9]{1,2}))*")
_MAX_WORD: Final = 40
_ID: Final = "{id}"
_REST: Final = "…"
_UNKNOWN: Final = "{path}"


class ServerNames:
    """Gives names to server spans. Asked on the requests' threads; a name made twice by two of them does no harm."""

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._made: set[str] = set()

    def better(self, name: str, attributes: Mapping[str, Any]) -> str | None:
        """A name to take the place of a bare method; None for a name that says something, or when there is no path."""
        if name not in METHODS:
            return None
        template = path_template(attributes)
        if template is None:
            return None
        made = f"{name} {template}"
        if made not in self._made:
            if len(self._made) >= self._most:
                return f"{name} {_UNKNOWN}"
            self._made.add(made)
        return made


def path_template(attributes: Mapping[str, Any]) -> str | None:
    """The route, else the path with ids left out; None when the attributes have neither."""
    for place in _PATHS:
        value = attributes.get(place)
        if isinstance(value, str) and value:
            if place == "http.route":
                return value
            try:
                return _template(urlsplit(value).path if place != "url.path" else value)
            except ValueError:  # such as a bracket that is never closed
                return _UNKNOWN
    return None


def _template(path: str) -> str:
    parts = [part for part in path[:2048].split("/") if part]
    shown = [part if len(part) <= _MAX_WORD and _WORD.fullmatch(part) else _ID for part in parts[:_MAX_PARTS]]
    if len(parts) > _MAX_PARTS:
        shown.append(_REST)
    return "/" + "/".join(shown)
