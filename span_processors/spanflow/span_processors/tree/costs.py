"""How costs are added up: in decimal, as people do.

Sums of binary fractions depend on their order and show it: 0.9549570000000001. Each cost counts with twelve decimals,
a fraction of the cheapest token's, in Python and in SQL alike.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

_DECIMALS: Final = 12
#: Larger numbers come from applications that record something else as a cost; they are not rounded.
_LARGEST: Final = 1e15


def exact(cost: float) -> Decimal:
    """A cost as a summand."""
    decimal = Decimal(repr(float(cost)))
    return round(decimal, _DECIMALS) if abs(cost) < _LARGEST else decimal


def rounded(cost: float) -> float:
    """A cost without what binary arithmetic has left at its end."""
    return float(exact(cost))


def shown_cost(cost: float | None) -> float | None:
    """The same of a stored cost; other versions have stored some unrounded."""
    return None if cost is None else rounded(cost)


def total(costs: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None: of none it is known."""
    known = [exact(cost) for cost in costs if cost is not None]
    return float(sum(known)) if known else None


def sql_total(column: str) -> str:
    """The same as an SQL expression."""
    return f"sum(round(({column})::numeric, {_DECIMALS}))::double precision"
