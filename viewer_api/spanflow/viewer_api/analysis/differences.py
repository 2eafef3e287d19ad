"""What is different about these flows? The share of every value in two samples, the greatest difference first."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, TypeAlias

from spanflow.span_processors.ids import shown_id

#: A value that fewer flows have says nothing.
_LEAST_SEEN: Final = 5
#: An attribute is one of ids, and its values are not compared, when so many of so many values are different ones.
_LEAST_VALUES: Final = 20
_UNIQUE_SHARE: Final = 0.9
#: Differences within so many standard errors are chance.
_STANDARD_ERRORS: Final = 2.0
MAX_DIFFERENCES: Final = 50
Query: TypeAlias = dict[str, str]
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Attribute:
    """Something that a flow says in its summary, and the filter of the list that asks for it."""

    name: str
    #: Filters that decide about it: where one of them sets the groups apart, its difference is no finding.
    decided_by: frozenset[str]
    values: Callable[[Row], Iterable[str | None]]
    query: Callable[[str], Query]


@dataclass(frozen=True, slots=True)
class Group:
    rows: Sequence[Row]
    #: The filters that only this group has.
    filters: Collection[str]
    #: All flows that match are among the rows.
    complete: bool


def _column(name: str, column: str | None = None) -> _Attribute:
    return _Attribute(name, frozenset({name}), lambda row: (row[column or name],), lambda value: {name: value})


def _list(name: str, column: str) -> _Attribute:
    return _Attribute(name, frozenset({name}), lambda row: row[column] or (), lambda value: {name: value})


def _range(name: str, amount: Callable[[Row], float | None]) -> _Attribute:
    """Amounts in steps of 1, 2, 5, 10 ...: `500-1000`."""

    def values(row: Row) -> tuple[str | None]:
        value = amount(row)
        if value is None:
            return (None,)
        low, high = _bucket(value)
        return (f"{low:g}-{high:g}",)

    def query(value: str) -> Query:
        low, _, high = value.partition("-")
        return {f"min_{name}": low, f"max_{name}": high}

    return _Attribute(name, frozenset({f"min_{name}", f"max_{name}"}), values, query)


def _bucket(value: float) -> tuple[float, float]:
    if value < 1:
        return 0, 1
    ten = 1
    while value >= 10 * ten:
        ten *= 10
    low, high = next(pair for pair in ((1, 2), (2, 5), (5, 10)) if value < pair[1] * ten)
    return low * ten, high * ten


def _tokens(row: Row) -> float:
    return float((row["tokens_in"] or 0) + (row["tokens_out"] or 0))


_ATTRIBUTES: Final = (
    _column("outcome"),
    _column("outcome_reason"),
    _column("gate"),
    _column("source"),
    _Attribute(
        "user_id", frozenset({"user_id", "user", "team"}), lambda row: (row["user_id"],), lambda v: {"user_id": v}
    ),
    _Attribute("name", frozenset({"q"}), lambda row: (row["name"],), lambda value: {"q": value[:200]}),
    _list("checkpoint", "event_types"),
    _list("tool", "tools"),
    _list("mcp_server", "mcp_servers"),
    _list("model", "models"),
    _range("duration_ms", lambda row: row["duration_ms"]),
    _range("tokens", _tokens),
)


def differences(one: Group, other: Group) -> dict[str, Any]:
    """A difference is positive where the value is more frequent in `one`."""
    apart = {*one.filters, *other.filters}
    ranked: list[tuple[float, dict[str, Any]]] = []
    hidden: list[dict[str, Any]] = []
    for attribute in _ATTRIBUTES:
        if not attribute.decided_by.isdisjoint(apart):
            hidden.append({"attribute": attribute.name, "reason": "asked_for"})
            continue
        counts = _counted(one.rows, attribute), _counted(other.rows, attribute)
        together = counts[0] + counts[1]
        if _is_of_ids(together):
            hidden.append({"attribute": attribute.name, "reason": "many_values", "values": len(together)})
            continue
        ranked += _compared(attribute, counts, (len(one.rows), len(other.rows)))
    ranked.sort(key=lambda pair: (-round(abs(pair[0]), 4), pair[0] < 0, pair[1]["attribute"], str(pair[1]["value"])))
    return {
        "a": {"sampled": len(one.rows), "complete": one.complete},
        "b": {"sampled": len(other.rows), "complete": other.complete},
        "differences": [shown for _, shown in ranked[:MAX_DIFFERENCES]],
        "hidden": hidden,
    }


def _counted(rows: Sequence[Row], attribute: _Attribute) -> Counter[str]:
    return Counter(value for row in rows for value in set(attribute.values(row)) if value is not None)


def _is_of_ids(together: Counter[str]) -> bool:
    values = sum(together.values())
    return values > _LEAST_VALUES and len(together) > _UNIQUE_SHARE * values


def _compared(
    attribute: _Attribute, counts: tuple[Counter[str], Counter[str]], sizes: tuple[int, int]
) -> Iterator[tuple[float, dict[str, Any]]]:
    if 0 in sizes:
        return
    for value in {*counts[0], *counts[1]}:
        seen = counts[0][value], counts[1][value]
        if sum(seen) < _LEAST_SEEN:
            continue
        shares = seen[0] / sizes[0], seen[1] / sizes[1]
        whole = sum(seen) / sum(sizes)
        chance = _STANDARD_ERRORS * sqrt(whole * (1 - whole) * (1 / sizes[0] + 1 / sizes[1]))
        difference = shares[0] - shares[1]
        if not difference or abs(difference) < chance:
            continue
        sides = [{"flows": number, "share": round(share, 4)} for number, share in zip(seen, shares, strict=True)]
        yield (
            difference,
            {
                "attribute": attribute.name,
                "value": shown_id(value) if attribute.name == "user_id" else value,
                "a": sides[0],
                "b": sides[1],
                "difference": round(difference, 4),
                "filter": attribute.query(value),
            },
        )
