"""A flow as a tree of lines, made of its rows: one per step in reading order, each with its depth."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanflow.cli.terminal.wording import MARKS, Paint, clean, cut, duration, padded, width
from spanflow.span_processors import names
from spanflow.span_processors.tree.tree import NS_PER_MS

Row = Mapping[str, Any]
#: A deeper step stands where this one would; its depth is said in figures.
_DEEPEST: Final = 40
#: So many columns are left to what a step is called, however deep it stands.
_LABEL_COLUMNS: Final = 20
_TIMES: Final = 12
_WORTH_SAYING: Final = frozenset({"denied", "error", "cancelled", "interrupted", "slow", "stalled", "lost"})


@dataclass(frozen=True, slots=True)
class Style:
    paint: Paint
    columns: int
    #: Moment that open steps are measured up to.
    now_ns: int | None = None
    #: Steps that the duration of the flow is made of.
    critical: Collection[str] = ()


def tree_lines(rows: Sequence[Row], style: Style) -> Iterator[str]:
    """Every step with its mark, name and duration; steps of the critical path are marked."""
    ends: list[bool] = []
    for row, is_last in zip(rows, _last_ones(rows), strict=True):
        del ends[row["depth"] :]
        ends.append(is_last)
        yield _line(row, _branch(ends, style.columns), style)


def _last_ones(rows: Sequence[Row]) -> list[bool]:
    """Whether each row is the last of its siblings."""
    last_ones: list[bool] = []
    later: list[bool] = []
    for row in reversed(rows):
        depth = row["depth"]
        del later[depth + 1 :]
        later += [False] * (depth + 1 - len(later))
        last_ones.append(not later[depth])
        later[depth] = True
    return last_ones[::-1]


def _branch(ends: list[bool], columns: int) -> str:
    depth = len(ends) - 1
    if depth == 0:
        return ""
    deepest = min(_DEEPEST, (columns - _TIMES - _LABEL_COLUMNS) // 3)
    if depth > deepest:
        return "   " * max(0, deepest - 2) + f"({depth}) "
    return "".join("   " if end else "│  " for end in ends[1:-1]) + ("└─ " if ends[-1] else "├─ ")


def _line(row: Row, branch: str, style: Style) -> str:
    mark, colour = MARKS.get(_word(row), ("·", "dim"))
    on_path = row["node_id"] in style.critical
    took = duration(_taken(row, style.now_ns))
    left = style.columns - _TIMES - 2
    head = f"{branch}{mark} "
    label = cut(_label(row), max(8, left - width(head)))
    shown = f"{branch}{style.paint(mark, colour)} {style.paint(label, *(['bold'] if on_path else []))}"
    gap = " " * max(1, left - width(head) - width(label))
    figures = padded("", _TIMES - width(took)) + took
    return f"{shown}{gap}{style.paint(figures, 'yellow' if on_path else 'dim')}{' ◆' if on_path else ''}"


def _word(row: Row) -> str:
    """How a step ended, or what it does."""
    state = row.get("state")
    return outcome_word(row) if state == names.NODE_ENDED else str(state or "")


def _taken(row: Row, now_ns: int | None) -> int | None:
    start, end = row.get("start_ns"), row.get("end_ns")
    until = int(end) if end is not None and row.get("state") == names.NODE_ENDED else now_ns
    return None if start is None or until is None else max(0, until - int(start))


def _label(row: Row) -> str:
    if row.get("placeholder"):
        return "(a step that has not been heard of)"
    kind, name = str(row.get("event_type", names.PLAIN_SPAN)), str(row.get("name", ""))
    label = name if kind in {names.PLAIN_SPAN, name} else f"{kind}  {name}"
    word = _word(row)
    if word in _WORTH_SAYING:
        label += f"  {word}"
    if isinstance(waited := row.get("first_token_ms"), int | float):
        label += f"  first token {duration(round(waited * NS_PER_MS))}"
    if why := reason(row):
        label += f": {why}"
    return clean(label)


def outcome_word(row: Row) -> str:
    """How a step ended; of a span that is no checkpoint, its answer and its status say it."""
    outcome = row.get("outcome")
    if outcome in (None, names.OUTCOME_OK) and row.get("status") == names.STATUS_ERROR:
        return names.OUTCOME_ERROR
    return str(outcome or names.OUTCOME_OK)


def reason(row: Row) -> str:
    """Why a step was refused or failed, as far as it says."""
    attributes = row.get("attributes") or {}
    denied = attributes.get(names.ATTR_DENIED_REASON)
    if isinstance(denied, str) and denied:
        return denied
    if message := row.get("status_message"):
        return str(message)
    answered = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    return f"HTTP {answered}" if answered is not None and outcome_word(row) != names.OUTCOME_OK else ""
