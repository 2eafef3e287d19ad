import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.event.canonical import canonical


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (1.0, b"1"),
        (-1.5, b"-1.5"),
        (0.000001, b"0.000001"),
        (0.0000015, b"0.0000015"),
        (1e-7, b"1e-7"),
        (1.5e-9, b"1.5e-9"),
        (1e16, b"10000000000000000"),
        (123456789012345678.0, b"123456789012345680"),
        (123456789012345678, b"123456789012345680"),
        (1e20, b"100000000000000000000"),
        (1e21, b"1e+21"),
        (1.5e300, b"1.5e+300"),
        (5e-324, b"5e-324"),
        (float("nan"), b"null"),
        (10**400, b"null"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(number: float, text: bytes) -> None:
    assert canonical(number) == text


def test_keys_stand_in_code_point_order() -> None:
    assert canonical({"b": 1, "a": [True, None, "é"], "😀": {}, "\uffff": []}) == (
        '{"a":[true,null,"é"],"b":1,"\uffff":[],"😀":{}}'.encode()
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
    | st.text(),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(json_values)
def test_canonical_bytes_are_json_for_the_same_value(value: Any) -> None:
    assert json.loads(canonical(value), parse_int=float) == value


def test_depth_does_not_matter() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert canonical(deep) == b"[" * 5001 + b"]" * 5001


def test_what_is_no_json_still_has_a_place_in_the_order() -> None:
    assert canonical({"\ud800": b"x"}) != canonical({"\ud800": b"y"})
