"""What tokens cost: a table that the operator keeps, because prices change and contracts differ.

The table is a JSON file named by `SPANFLOW_PRICES`:

    {"per": 1000000, "models": {"claude*": {"input": 3, "output": 15, "cached_input": 0.3, "cache_write": 3.75}}}

A `*` at the end of a name matches every model that begins so; the longest match counts. Spanflow brings no prices of
its own, and a flow whose model has no price has no cost, rather than a wrong one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from spanflow.span_processors.tree.costs import rounded

_KINDS: Final = ("input", "output", "cached_input", "cache_write")


class PricesError(ValueError):
    """The table of prices cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one token of each kind. Input read from the provider's cache costs `cached_input`, input written to
    it `cache_write`."""

    input: float
    output: float
    cached_input: float
    cache_write: float

    def cost(self, input_tokens: int, output_tokens: int, cache_read: int = 0, cache_write: int = 0) -> float:
        """Cache counts are part of `input_tokens`, as in OpenTelemetry's conventions."""
        read = min(max(cache_read, 0), input_tokens)
        written = min(max(cache_write, 0), input_tokens - read)
        plain = input_tokens - read - written
        return rounded(
            plain * self.input + read * self.cached_input + written * self.cache_write + output_tokens * self.output
        )


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model name."""

    exact: Mapping[str, Price] = field(default_factory=dict)
    prefixes: tuple[tuple[str, Price], ...] = ()

    def __bool__(self) -> bool:
        """Whether it has any price at all."""
        return bool(self.exact or self.prefixes)

    def price_of(self, model: str) -> Price | None:
        """The price of a model's tokens, None when it is not known."""
        exact_price = self.exact.get(model)
        if exact_price is None:
            exact_price = next((price for prefix, price in self.prefixes if model.startswith(prefix)), None)
        return exact_price


NO_PRICES: Final = PriceTable()


def load_prices(path: str) -> PriceTable:
    """The table in a file; an empty path is an empty table. `PricesError` says what is wrong with it."""
    if not path:
        return NO_PRICES
    try:
        return parse_prices(Path(path).read_bytes())
    except OSError as why:
        raise PricesError(f"the table of prices {path} cannot be read: {why.strerror}") from None
    except PricesError as why:
        raise PricesError(f"the table of prices {path}: {why}") from None


def parse_prices(data: bytes) -> PriceTable:
    """The table in a JSON text."""
    try:
        table = orjson.loads(data)
    except ValueError as why:
        raise PricesError(f"it is not JSON: {why}") from None
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise PricesError('it needs an object "models"')
    per = _number(table.get("per", 1_000_000), '"per"')
    if per == 0:
        raise PricesError('"per" must not be 0')
    exact: dict[str, Price] = {}
    prefixes: dict[str, Price] = {}
    for model, prices in table["models"].items():
        price = _price(model, prices, per)
        if model.endswith("*"):
            prefixes[model[:-1]] = price
        else:
            exact[model] = price
    longest_first = sorted(prefixes.items(), key=lambda item: (-len(item[0]), item[0]))
    return PriceTable(exact, tuple(longest_first))


def _price(model: str, prices: Any, per: float) -> Price:
    if not isinstance(prices, dict) or "input" not in prices or "output" not in prices:
        raise PricesError(f'the model "{model}" needs "input" and "output"')
    if unknown := sorted(set(prices).difference(_KINDS)):
        raise PricesError(f'the model "{model}" has "{unknown[0]}"; known are {", ".join(_KINDS)}')
    values = {kind: _number(price, f'"{kind}" of the model "{model}"') / per for kind, price in prices.items()}
    full = values["input"]
    return Price(full, values["output"], values.get("cached_input", full), values.get("cache_write", full))


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise PricesError(f"{what} must be a number, 0 or more")
    return float(value)
