"""Every known shape of a secret between random texts and in random nests, in many random examples."""

from typing import Any

import orjson
from hypothesis import strategies as st

from spanflow.span_processors.redaction.redaction import Redactor
from tests.support import fuzzing
from tests.support.secret_shapes import SECRET_NAMES, SHAPES, word

EXAMPLES = fuzzing.examples(100, 8000)
REDACTOR = Redactor()
#: Between these and a secret stands an end of a line: what surrounds a secret in the same line may change what it is.
texts = st.text(max_size=60) | st.lists(
    st.sampled_from(['"', "'", "{", "}", "\\", "=", ":", "password", "eyJ", "://", "@", "Bearer", "\n", " ", "é"]),
    max_size=12,
).map("".join)
LEAF = "the-secret-stands-here"
nests: st.SearchStrategy[Any] = st.recursive(
    st.just(LEAF),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["a", "body", "items", "x-y"]), inner, min_size=1, max_size=2),
        inner.map(lambda value: orjson.dumps({"a": value}).decode() if "\\\\\\" not in str(value) else value),
    ),
    max_leaves=3,
)


def filled(nest: Any, text: str) -> Any:
    """The nest with the text where its leaf is, also inside of JSON in texts."""
    if isinstance(nest, dict):
        return {key: filled(value, text) for key, value in nest.items()}
    if isinstance(nest, list):
        return [filled(value, text) for value in nest]
    if nest == LEAF:
        return text
    return orjson.dumps(filled(orjson.loads(nest), text)).decode()


@EXAMPLES
def test_no_shape_of_a_secret_survives_in_any_nest_between_any_lines(examples: int) -> None:
    def attack(shape: str, number: int, before: str, after: str, nest: Any) -> None:
        secret = SHAPES[shape](number)
        try:
            value = filled(nest, f"{before}\n{secret.text}\n{after}")
        except TypeError:
            return  # a lone surrogate has no JSON
        clean, hidden = REDACTOR.recorded({"data": value})
        assert secret.hidden not in str(clean), (value, clean)
        assert hidden

    fuzzing.fuzz(
        examples,
        {
            "shape": st.sampled_from(list(SHAPES)),
            "number": st.integers(0, 99_999),
            "before": texts,
            "after": texts,
            "nest": nests,
        },
        attack,
    )


@EXAMPLES
def test_no_value_under_a_secret_name_survives_in_any_nest(examples: int) -> None:
    def attack(name: str, lead: str, nest: Any) -> None:
        clean, _ = REDACTOR.recorded({f"{lead}{name}": filled(nest, word(7))})
        assert word(7) not in str(clean)

    leads = st.sampled_from(["", "a.", "x_", "my-", "http.request.header."])
    fuzzing.fuzz(examples, {"name": st.sampled_from(SECRET_NAMES), "lead": leads, "nest": nests}, attack)


@EXAMPLES
def test_any_value_is_redacted_without_an_error_and_twice_changes_nothing(examples: int) -> None:
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=20)
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
    )

    def attack(key: str, value: Any) -> None:
        once, _ = REDACTOR.recorded({key: value})
        twice, _ = REDACTOR.recorded(once)
        assert twice == once

    fuzzing.fuzz(examples, {"key": texts, "value": values}, attack)
