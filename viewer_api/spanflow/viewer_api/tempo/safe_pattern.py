"""Regular expressions of clients, as far as none of them can keep this process busy.

Python's engine tries every way to match: nested repetitions take exponential time, and the other threads wait.
"""

import re
from typing import Final

#: Texts that are longer match nothing.
MAX_TEXT: Final = 1024
_MAX_PATTERN: Final = 4096
#: Repetitions in one alternative: the time grows with the length of the text to this power.
_MAX_REPEATED: Final = 2
#: A character, a class of characters or an escaped one, perhaps repeated.
_ATOM: Final = re.compile(r"(?:\\[^A-Za-z0-9]|\\[dDsSwW]|\[\^?\]?[^\[\]\\]*\]|[^\\\[\](){}*+?|^$])([*+?])?")
_KNOWN: Final = "characters, '.', classes, '*', '+', '?', at most two of them in one of the alternatives of '|'"


class BadPattern(ValueError):
    """It is none, or more than is understood here."""


class SafePattern:
    """The whole of a text has to match."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MAX_PATTERN:
            raise BadPattern(f"a regular expression may have {_MAX_PATTERN} characters")
        inner = pattern.removeprefix("^").removesuffix("$") if not pattern.endswith("\\$") else pattern
        for alternative in _alternatives(inner):
            _check(alternative)
        try:
            self._pattern = re.compile(inner, re.DOTALL)
        except re.error as why:
            raise BadPattern(f"regular expression: {why}") from None

    def matches(self, text: str) -> bool:
        return len(text) <= MAX_TEXT and self._pattern.fullmatch(text) is not None


def _alternatives(pattern: str) -> list[str]:
    """Split at every `|` that stands for itself; groups may hold nothing but alternatives of plain text."""
    pieces, piece, place = [], "", 0
    while place < len(pattern):
        step = 2 if pattern[place] == "\\" else 1
        if pattern[place] == "[":
            step = max(1, pattern.find("]", place + 2) + 1 - place)
        if pattern[place] == "|":
            pieces.append(piece)
            piece = ""
        else:
            piece += pattern[place : place + step]
        place += step
    return [*pieces, piece]


def _check(alternative: str) -> None:
    place = repeated = 0
    while place < len(alternative):
        atom = _ATOM.match(alternative, place)
        if atom is None:
            raise BadPattern(f"of regular expressions these parts are supported: {_KNOWN}")
        repeated += atom[1] is not None
        place = atom.end()
    if repeated > _MAX_REPEATED:
        raise BadPattern(f"of regular expressions these parts are supported: {_KNOWN}")
