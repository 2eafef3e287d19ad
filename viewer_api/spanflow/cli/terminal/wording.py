"""How things are written in a terminal. Names and texts come from strangers: nothing of theirs may move the cursor."""

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final, TextIO

from spanflow.span_processors.tree.tree import NS_PER_MS

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
#: How a state is shown: the one table of signs, which the dashboard is built with as well.
_STATES: Final = json.loads((files("spanflow.cli.terminal") / "states.json").read_text(encoding="utf-8"))
MARKS: Final[Mapping[str, tuple[str, str]]] = {
    state: (shown["sign"], shown["colour"]) for state, shown in _STATES.items()
}


class Paint:
    """Colours, where there is a terminal that shows them."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, *colours: str) -> str:
        if not self.on or not colours or not text:
            return text
        return f"\x1b[{';'.join(_COLOURS[colour] for colour in colours)}m{text}\x1b[0m"


def paint_for(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Paint:
    """https://no-color.org"""
    return Paint(stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")


def clean(text: object) -> str:
    """One line of printable text."""
    return "".join(char if char.isprintable() else "�" for char in str(text))


def width(text: str) -> int:
    """Columns that a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, columns: int) -> str:
    """The beginning of a text without colours, so that it fits."""
    if width(text) <= columns:
        return text
    taken, used = "", 1
    for char in text:
        used += width(char)
        if used > columns:
            break
        taken += char
    return taken + "…"


def padded(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def duration(ns: int | None) -> str:
    """Three digits are enough to compare."""
    if ns is None:
        return ""
    ms = ns / NS_PER_MS
    if ms < 1:
        return f"{ms * 1000:.0f} µs"
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, columns: int | None = None) -> list[str]:
    """Rows below a head, each column as wide as it needs; beyond `columns` the last column is cut."""
    lines = [list(head), *map(list, rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(head))]
    if columns is not None:
        widths[-1] = max(8, columns - sum(widths[:-1]) - 2 * (len(widths) - 1))
    return [
        "  ".join(padded(cut(text, size), size) for text, size in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def ago(value: Any, now: datetime) -> str:
    """How long ago a time of the API was, as the dashboard says it; beyond two days its date."""
    try:
        then = datetime.fromisoformat(str(value))
    except ValueError:
        return clean(value) if value else ""
    seconds = int((now - then).total_seconds())
    if seconds < 5:
        return "just now"
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 48 * 3600 else moment(value)


_SECONDS: Final = {
    60: ("m", "min", "mins", "minute", "minutes"),
    3600: ("h", "hour", "hours"),
    86_400: ("d", "day", "days"),
    604_800: ("w", "week", "weeks"),
    1: ("s", "second", "seconds"),
}
_UNITS: Final = {word: seconds for seconds, words in _SECONDS.items() for word in words}


def reason_of(flow: Mapping[str, Any]) -> str | None:
    """Why a flow ended as it did, in the words of what ended it; without any, the gate or the kind of failure."""
    reasons = ("denied_reason", "error_message", "denied_gate", "outcome_reason")
    return next((str(flow[name]) for name in reasons if flow.get(name)), None)


def stated_time(text: str | None, now: datetime) -> str | None:
    """`yesterday`, `today`, `now`, `90m`, `2h`, `3d` as a time that the API reads; everything else stays as it is."""
    if text is None:
        return None
    word = text.strip().lower()
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": midnight, "yesterday": midnight - timedelta(days=1), "now": now}
    number = word.removesuffix(" ago").rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = word.removesuffix(" ago")[len(number) :].strip()
    if word in days:
        return days[word].astimezone(UTC).isoformat()
    if number.isdecimal() and unit in _UNITS:
        return (now - timedelta(seconds=int(number) * _UNITS[unit])).astimezone(UTC).isoformat()
    return text


def moment(value: Any) -> str:
    """A time of the API in the reader's own zone."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return clean(value) if value else ""
