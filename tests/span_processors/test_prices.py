import json
from pathlib import Path
from typing import Any

import pytest

from spanflow.span_processors.tree.prices import NO_PRICES, Price, PricesError, load_prices, parse_prices

TABLE = {
    "models": {
        "gpt-5*": {"input": 2, "output": 10},
        "gpt-5-mini*": {"input": 1, "output": 4, "cached_input": 0.5, "cache_write": 1.25},
        "gpt-5-mini-exact": {"input": 3, "output": 3},
    }
}


def test_the_exact_name_counts_and_then_the_longest_beginning() -> None:
    table = parse_prices(json.dumps(TABLE).encode())
    assert table.price_of("gpt-5-mini-exact") == Price(3e-6, 3e-6, 3e-6, 3e-6)
    assert table.price_of("gpt-5-mini-2026") == Price(1e-6, 4e-6, 0.5e-6, 1.25e-6)
    assert table.price_of("gpt-5.1") == Price(2e-6, 10e-6, 2e-6, 2e-6)
    assert table.price_of("other") is None


def test_cached_tokens_are_part_of_the_input() -> None:
    price = Price(input=2, output=10, cached_input=1, cache_write=3)
    assert price.cost(10, 1, 4) == 6 * 2 + 4 * 1 + 10
    assert price.cost(10, 0, 99) == 10
    assert price.cost(10, 0, 4, 5) == 1 * 2 + 4 * 1 + 5 * 3
    assert price.cost(10, 0, 4, 99) == 4 * 1 + 6 * 3


def test_no_file_means_no_prices(tmp_path: Path) -> None:
    assert load_prices("") is NO_PRICES
    assert NO_PRICES.price_of("gpt-5") is None


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(json.dumps({"per": 1000, **TABLE}))
    assert load_prices(str(tmp_path / "prices.json")).price_of("gpt-5-mini-exact") == Price(3e-3, 3e-3, 3e-3, 3e-3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("x", "not JSON"),
        ([], '"models"'),
        ({"models": {"m": {"input": 1}}}, '"m" needs "input" and "output"'),
        ({"models": {"m": {"input": -1, "output": 1}}}, '"input" of the model "m" must be a number'),
        ({"models": {"m": {"input": 1, "output": "2"}}}, '"output" of the model "m" must be a number'),
        ({"models": {"m": {"input": 1, "output": 2, "inptu": 3}}}, '"inptu"; known are'),
        ({"per": 0, "models": {}}, '"per" must not be 0'),
    ],
)
def test_a_wrong_table_says_what_to_change(tmp_path: Path, table: Any, message: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    with pytest.raises(PricesError) as error:
        load_prices(str(path))
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(PricesError, match="/nowhere/prices.json cannot be read: No such file"):
        load_prices("/nowhere/prices.json")
