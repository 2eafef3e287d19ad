"""How things are written in a terminal. Names and texts come from strangers: nothing of theirs may move the cursor."""

import os
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TextIO

from spanflow.span_processors.tree.tree import NS_PER_MS

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
MARKS: Final = {
    "ok": ("✓", "green"),
    "denied": ("⊘", "yellow"),
    "error": ("✗", "red"),
    "cancelled": ("◌", "yellow"),
    "interrupted": ("!", "red"),
    "running": ("●", "blue"),
    "slow": ("●", "yellow"),
    "stalled": ("◍", "yellow"),
    "lost": ("?", "red"),
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


def moment(value: Any) -> str:
    """A time of the API in the reader's own zone."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return clean(value) if value else ""
