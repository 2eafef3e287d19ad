"""Two flows beside each other as lines: what each step took in both, and the difference. One of them may be the usual
one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from spanflow.cli.terminal.tree_lines import Style
from spanflow.cli.terminal.wording import clean, cut, duration, padded, width
from spanflow.span_processors.tree.tree import NS_PER_MS

Row = Mapping[str, Any]
_MARKS: Final = {
    "same": ("=", "dim"),
    "slower": ("▲", "red"),
    "faster": ("▼", "green"),
    "changed": ("~", "yellow"),
    "added": ("+", "blue"),
    "removed": ("-", "blue"),
    "missing": ("-", "blue"),
    "unknown": ("?", "dim"),
}
#: A deeper step stands where this one would.
_DEEPEST: Final = 20
_FIGURES: Final = 10
_MAX_SHOWN: Final = 3


def comparison_lines(found: Mapping[str, Any], style: Style, words: Iterable[str]) -> Iterator[str]:
    """A head of these words, and every row; differences of a changed step stand below it."""
    heads = "".join(" " * (_FIGURES - len(word)) + word for word in words)
    yield style.paint(padded("", style.columns - len(heads)) + heads, "dim")
    biggest = set(found["biggest"])
    for place, row in enumerate(found["rows"]):
        indent = "  " * min(row["depth"], _DEEPEST)
        mark, colour = _MARKS[row["status"]]
        figures = [_took(row["a"]), _took(row["b"]), _signed(row["delta_ms"])]
        told = "".join(" " * max(1, _FIGURES - width(text)) + text for text in figures)
        label = cut(_label(row), max(8, style.columns - width(told) - len(indent) - 2))
        left = padded(f"{indent}{mark} {label}", style.columns - width(told))
        bold = ["bold"] if place in biggest else []
        yield style.paint(left, colour, *bold) + style.paint(told, colour, *bold)
        if row["status"] == "changed":
            yield from (style.paint(line, "dim") for line in _differences(row, indent, style.columns))


def _label(row: Row) -> str:
    if row["kind"] == "waiting":
        return "(waiting)"
    kind, subject = row["event_type"] or "", row["subject"] or "(a step that has not been heard of)"
    label = subject if kind in ("span", subject, "") else f"{kind}  {subject}"
    if row["kind"] == "run":
        counts = " and ".join(str(side["count"]) for side in (row["a"], row["b"]) if side and "count" in side)
        label += f"  ({counts} times, median)"
    return clean(label)


def _took(side: Row | None) -> str:
    took = None if side is None else side.get("p50_ms", side.get("duration_ms"))
    return "" if took is None else duration(round(took * NS_PER_MS))


def _signed(ms: float | None) -> str:
    if ms is None:
        return ""
    sign = "+" if ms > 0 else "-" if ms < 0 else ""
    return sign + duration(round(abs(ms) * NS_PER_MS))


def _differences(row: Row, indent: str, columns: int) -> Iterator[str]:
    sides = [side and side.get("outcome") for side in (row["a"], row["b"])]
    if row["a"] and "share" in row["a"]:
        sides[0] = "ok"
    if sides[0] != sides[1] and row["kind"] == "step":
        yield cut(clean(f"{indent}    outcome: {_shown(sides[0])} → {_shown(sides[1])}"), columns)
    for each in row.get("differences", ())[:_MAX_SHOWN]:
        yield cut(clean(f"{indent}    {each['path']}: {_shown(each.get('a'))} → {_shown(each.get('b'))}"), columns)


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
