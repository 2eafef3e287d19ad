from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.ids import IdError, as_id, id_or_none, is_id, shown_id


@pytest.mark.parametrize("value", ["123", "neo@matrix.com", "é😀", "a:b c", "x" * 128, "-", "007"])
def test_opaque_strings_are_ids(value: str) -> None:
    assert as_id(value) == value
    assert is_id(value)


@pytest.mark.parametrize("value", ["", "x" * 129, "a/b", "{a", "a}", "a\nb", "\x7f", "\x85", "\ud800"])
def test_dangerous_strings_are_no_ids(value: str) -> None:
    with pytest.raises(IdError):
        as_id(value)
    assert not is_id(value)
    assert id_or_none(value) is None


def test_numbers_and_uuids_become_strings() -> None:
    assert as_id(123) == "123"
    assert as_id(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize("value", [True, 1.0, None, b"x", [], pytest.param(10**5000, id="huge")])
def test_other_values_are_no_ids(value: object) -> None:
    assert id_or_none(value) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("123", 123),
        ("-7", -7),
        ("0", 0),
        ("9007199254740991", 9007199254740991),
        ("9007199254740992", "9007199254740992"),
        ("007", "007"),
        ("-0", "-0"),
        ("1.0", "1.0"),
        ("+1", "+1"),
        ("١", "١"),
        (None, None),
    ],
)
def test_json_shows_canonical_integers_as_numbers(value: str | None, shown: str | int | None) -> None:
    assert shown_id(value) == shown


@given(st.text())
def test_a_shown_id_always_means_the_same_id(value: str) -> None:
    assert str(shown_id(value)) == value
