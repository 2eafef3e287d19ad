"""Secrets behind their name inside a text: `password=hunter2`, `"api_key": "abc"`, `Cookie: a=1; b=2`, `--pwd abc`."""

import re
from typing import Final, NamedTuple

from spanflow.span_processors.redaction.secret_names import secrecy

HIDDEN: Final = "[redacted]"

#: What stands between a name and its value. An option of a command may do with a space.
_SEPARATOR: Final = r"(?:(?:\\{0,15}+[\"'])?+[\])]{0,2}+\s{0,8}+(?:=>|:=|[:=]|%3a|%3d)\s{0,8}+|(?P<space> {1,8}+))?+"


def _names(stem: str, before: str = "", after: str = "") -> tuple[str, re.Pattern[str]]:
    """Names from a telling word on. One without a separator matches as well, so that it is not read again."""
    return stem, re.compile(f"{before}(?P<name>{stem}{after}[a-z0-9_.-]*+){_SEPARATOR}")


#: For a text in lower case; each begins with a literal, which the interpreter finds quickly.
_NAMES: Final = (
    *(_names(stem) for stem in "pass pwd secret token authorization cookie credential jwt otp cvv cvc bearer".split()),
    _names("key", before=r"(?<=[a-z0-9_ .-])"),
    _names("card", after="[ _-]?number"),
    _names("connection", after="[ _-]?string"),
    _names("signature"),
)
_NAME_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LONGEST_BEGINNING: Final = 32
#: Names whose value is all of the line: it has spaces, and cookies are separated by semicolons.
_OF_LINES: Final = ("authorization", "cookie", "cookies")
#: In front of `token`, where a number follows, one of these says that tokens were counted.
_COUNTED: Final = ("max", "min", "input", "output", "prompt", "completion", "total", "num", "count", "limit", "used")


def _values(within: str = "") -> re.Pattern[str]:
    """A quoted text with escapes, also one whose quotes are escaped themselves; something in brackets; a word. Quotes
    and brackets need no end: the text may have been cut. `within` are characters that end a quoted text as well."""
    any_character = f"[^{within}]" if within else "."
    return re.compile(
        rf"(?P<escape>\\{{1,15}}+)[\"'](?:[^\\\"'{within}]++|(?!(?P=escape)[\"'])\\++[\"']?+)*+(?:(?P=escape)[\"'])?+"
        rf"|[bfruBFRU]{{0,2}}+\"(?:[^\"\\{within}]++|\\{any_character}?+)*+\"?+"
        rf"|[bfruBFRU]{{0,2}}+'(?:[^'\\{within}]++|\\{any_character}?+)*+'?+"
        r"|(?:\([^()\n]*+\)?+|\[[^\[\]\n]*+\]?+|\{[^{}\n]*+\}?+)[^\s\"'&,;<>]*+"
        r"|[^\s\"'&,;<>]++",
        re.DOTALL,
    )


_VALUE: Final = _values()
_VALUE_IN_LINE: Final = _values("\\n")
#: Behind `=` a quote begins a value; any other one ends what the line stands in.
_LINE: Final = re.compile(
    r"(?:[Dd]igest|DIGEST) (?:[A-Za-z]++ ?= ?(?:\"[^\"\n]*+\"?+|[^\s,\"]++),? {0,4}+)++"
    r"|[^\s\"'\\\[{(](?:[^\n\"'=]++|=(?:\"[^\"\n]*+\"?+|'[^'\n]*+'?+)?+)*+"
)
_QUOTE: Final = re.compile(r"[bfruBFRU]{0,2}\\{0,15}+[\"']")
#: What was hidden before, without what may stand behind it.
_HIDDEN_OPEN: Final = HIDDEN.rstrip("]")
_OPENING: Final = frozenset("([{")


class Hidden(NamedTuple):
    """A part of a text to redact, and its replacement."""

    start: int
    end: int
    shown: str


def assigned_secrets(text: str, lowered: str, most: int) -> list[Hidden]:
    """Such values, which may overlap; a few more than `most` are enough. `lowered` is the text in lower case."""
    if not (":" in text or "=" in text or "%3" in text or " -" in text or text[0] == "-"):
        return []
    names = _assigned(lowered)
    secrets = _hidden(names, text, _VALUE, most)
    if secrets and "\n" in text:
        # A value that goes on in the next line may have taken a name there for itself, or the quote before its value.
        in_lines = [match for match in names if "\n" not in text[match.end("name") : match.end()]]
        secrets += _hidden(in_lines, text, _VALUE_IN_LINE, most)
    return secrets


def _hidden(names: list[re.Match[str]], text: str, values: re.Pattern[str], most: int) -> list[Hidden]:
    hidden: list[Hidden] = []
    done = 0
    for match in names:
        if match.start() < done and match.end() < done:
            continue
        # A name that was taken for the value before it has a value of its own: `password: token: ...`.
        end = _end_of_value(match, text, values)
        if end is None:
            continue
        start = match.end()
        quote = _QUOTE.match(text, start, end)
        shown = f"{quote[0]}{HIDDEN}{quote[0].lstrip('bfruBFRU')}" if quote else HIDDEN
        hidden.append(Hidden(start, end, shown))
        done = end
        if len(hidden) > most:
            break
    return hidden


def _assigned(lowered: str) -> list[re.Match[str]]:
    """Names that something is assigned to, in order."""
    assigned = [
        match
        for stem, names in _NAMES
        if stem in lowered
        for match in names.finditer(lowered)
        if match.end() > match.end("name")
    ]
    assigned.sort(key=_start)
    return assigned


def _start(match: re.Match[str]) -> int:
    return match.start()


def _end_of_value(match: re.Match[str], text: str, values: re.Pattern[str]) -> int | None:
    """Where the secret value behind a name ends; None if there is none."""
    start = match.end()
    before = text[max(0, match.start() - _LONGEST_BEGINNING) : match.start()]
    beginning = before.rstrip(_NAME_CHARACTERS)
    if beginning == before and before[-1:] == " ":
        beginning = before[:-1].rstrip(_NAME_CHARACTERS)  # `API key: …`
    name = before[len(beginning) :] + text[match.start() : match.end("name")]
    if match["space"] and not name.startswith("-"):
        return None
    kind = secrecy(name)
    if kind is None:
        return None
    of_line = match["name"] in _OF_LINES and not match["space"]
    value_match = (_LINE.match(text, start) if of_line else None) or values.match(text, start)
    if value_match is None:
        return None
    value = _without_closing(value_match[0])
    if not value or value.strip("bfruBFRU'\"\\ ").rstrip(")]}") == _HIDDEN_OPEN:
        return None
    if kind == "token" and value.isdecimal() and before.rstrip(" _.-").lower().endswith(_COUNTED):
        return None
    return start + len(value)


def _without_closing(value: str) -> str:
    """The value without the brackets behind it that belong to what stands around."""
    return value if value[0] in "'\"\\" or not _OPENING.isdisjoint(value) else value.rstrip(")]}")
