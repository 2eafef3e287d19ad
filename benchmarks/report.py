"""Medians and ratios out of the rounds, as tables in Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Case = Sequence[Mapping[str, float]]
Rounds = Mapping[str, Case]


def median_of(rounds: Case, key: str) -> float:
    return statistics.median(measured[key] for measured in rounds)


def ratio_to(reference: Case, rounds: Case, key: str) -> float:
    """The median of the ratios within each round: what disturbs one round disturbs both sides of it."""
    return statistics.median(
        measured[key] / against[key] if against[key] else float("nan")
        for measured, against in zip(rounds, reference, strict=True)
    )


def ratio_within(rounds: Case, key: str, against: str) -> float:
    """The same for two figures of one case."""
    return statistics.median(measured[key] / measured[against] for measured in rounds)


def overhead_ratio(rounds: Rounds, name: str, reference: str, nothing: str, key: str) -> float:
    """(this − none) / (reference − none), round by round."""
    return statistics.median(
        (one[key] - none[key]) / max(against[key] - none[key], 1e-9)
        for one, against, none in zip(rounds[name], rounds[reference], rounds[nothing], strict=True)
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown, with columns as wide as they need to be."""
    texts = [[_text(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(row[column]) for row in texts) for column in range(len(headings))]
    lines = []
    for row in texts:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append(f"| {' | '.join(cells)} |")
    first, *others = widths
    lines.insert(1, f"|{'-' * (first + 2)}|{'|'.join('-' * (width + 1) + ':' for width in others)}|")
    return "\n".join(lines)


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return str(cell)
