"""The native core says "clean" of no text that Python's redactor would change: only Python judges secrets."""

import random
import sys
from time import perf_counter
from typing import Any

import pytest
from hypothesis import strategies as st

from spanflow.span_processors.redaction import assignments, secret_names, secret_patterns
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redaction.secret_names import STEMS
from tests.span_processors.test_redaction_cost import EDGES, all_patterns
from tests.span_processors.test_redaction_fuzz import nests, texts
from tests.support import fuzzing
from tests.support.native_core import core, needs_core
from tests.support.regex_steps import sample
from tests.support.secret_shapes import SECRET_NAMES, SHAPES

pytestmark = needs_core
PYTHON = Redactor()
EXAMPLES = fuzzing.examples(300, 3000)
PATTERNS = all_patterns((assignments, secret_names, secret_patterns))
SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
#: Characters of other alphabets that are ASCII letters in lower case.
DISGUISED = [
    chr(code)
    for code in range(128, sys.maxunicode + 1)
    if any(character.isascii() and character.isalpha() for character in chr(code).lower())
]
PIECES = [
    *EDGES,
    *STEMS,
    *SPACES,
    *DISGUISED,
    "basic",
    "Digest",
    "gl",
    "pat-",
    "xox",
    "a",
    "AKIA",
    "4111",
    "]",
    ")",
    "%3a",
]


def hides(text: str) -> bool:
    """Whether Python's redactor changes the text."""
    clean, hidden = PYTHON._without_secrets(text)
    return bool(hidden) or clean != text


def check(text: str) -> None:
    if hides(text):
        assert not core().is_clean(text), text


@EXAMPLES
def test_no_shape_of_a_secret_is_clean_between_any_texts(examples: int) -> None:
    def attack(shape: str, number: int, before: str, after: str, end: str) -> None:
        check(f"{before}{end}{SHAPES[shape](number).text}{end}{after}")

    values = {
        "shape": st.sampled_from(list(SHAPES)),
        "number": st.integers(0, 99_999),
        "before": texts,
        "after": texts,
        "end": st.sampled_from(["", " ", "\n", "-", "1"]),
    }
    fuzzing.fuzz(examples, values, attack)


@EXAMPLES
def test_nothing_that_a_pattern_takes_is_clean(examples: int) -> None:
    def attack(pattern: int, number: int, before: list[str], after: list[str]) -> None:
        matching = sample(PATTERNS[pattern], random.Random(number))
        check("".join([*before, matching, *after]))
        check("".join([*before, matching.upper(), *after]))

    pieces = st.lists(st.sampled_from(PIECES), max_size=5)
    values = {
        "pattern": st.integers(0, len(PATTERNS) - 1),
        "number": st.integers(0, 10**9),
        "before": pieces,
        "after": pieces,
    }
    fuzzing.fuzz(examples, values, attack)


@EXAMPLES
def test_nothing_that_the_pieces_of_secrets_add_up_to_is_clean(examples: int) -> None:
    longer = st.sampled_from(["hunter2hunter2hunter2", "x1" * 20, "number", "string", "0123 4567", "\n", "word"])
    pieces = st.lists(st.sampled_from(PIECES) | longer, min_size=1, max_size=9)
    fuzzing.fuzz(examples, {"pieces": pieces}, lambda pieces: check("".join(pieces)))


WORDS = (
    "api access private signing encryption secret account auth ssh master csrf id personal refresh "
    "security session xsrf db my smtp user pass password passwd passphrase passcode pwd credential "
    "authorization cookie key keys token tokens card number numbers connection string amz goog signature "
    "cvv cvc bearer jwt jwts otp totp max input author passage keyboard x s 1 2"
).split()
#: Names as they are made of such words, in all ways of writing them.
words = st.sampled_from(WORDS).flatmap(lambda word: st.sampled_from([word, word.upper(), word.title()]))
secret_names_or_not = st.lists(words | st.sampled_from(["_", "-", ".", " ", ""]), min_size=1, max_size=12).map("".join)


@EXAMPLES
def test_names_mean_the_same_to_both(examples: int) -> None:
    def attack(name: str, before: str, sign: str) -> None:
        for text in (f"{before}{name}{sign}hunter2x", f"<{name}>hunter2x</{name}>", f"--{name} hunter2x"):
            check(text)

    signs = st.sampled_from(["=", ": ", '": "', "%3D", " => ", " ", "']=", " 5", "=5"])
    befores = st.sampled_from(["", " ", "-", "a ", "a-b ", "x" * 31, "x" * 32, "y" * 33, "q ", ",", "é"])
    fuzzing.fuzz(examples, {"name": secret_names_or_not, "before": befores, "sign": signs}, attack)


def test_every_two_words_mean_the_same_to_both() -> None:
    for first in WORDS:
        for second in WORDS:
            for name in (f"{first}_{second}", f"{first}{second.title()}", f"{first.upper()} {second}", first + second):
                check(f"{name}=hunter2x")


def test_a_long_name_that_python_sees_the_end_of_only_is_not_clean() -> None:
    for blanks in range(20, 40):
        check(f"myapi{'_' * blanks}key=hunter2x")
        check(f"{'x' * blanks}-password hunter2x")


def test_names_behind_any_white_space_or_in_disguise_are_not_clean() -> None:
    assert DISGUISED
    for name in SECRET_NAMES:
        for space in SPACES:
            check(f"{name}{space}:{space}hunter2x")
            check(f"Basic{space}dXNlcjpwYXNz")
        for letter in DISGUISED:
            for plain in "ki":
                check(f"{name.replace(plain, letter)}=hunter2x")
    for letter in DISGUISED:
        assert not core().is_clean(f"all of this is prose {letter}")


def test_texts_with_a_name_that_was_added_to_the_secret_ones_are_left_to_python() -> None:
    text = '{"tenant": "a"}'
    assert core().is_clean(text)
    native = Redactor(RedactionPolicy(secret_keys=("tenant",), native="require"))
    assert native.text(text) == ('{"tenant":"[redacted]"}', 1)


@EXAMPLES
@pytest.mark.parametrize("content", ["off", "full"])
def test_both_redactors_give_the_same(examples: int, content: Any) -> None:
    policy = {"content": content, "max_length": 64, "hide_emails": True}
    python = Redactor(RedactionPolicy(**policy))
    native = Redactor(RedactionPolicy(**policy, native="require"))

    def attack(key: str, text: str, shape: str, nest: Any) -> None:
        secret = SHAPES[shape](7).text
        value = {"note": f"{text}\n{secret}", "nest": nest, "text": text, "both": [text, secret]}
        for attributes in ({key: text}, {key: f"{text} {secret}"}, {"flow.data.value": value}):
            assert native.attributes(attributes) == python.attributes(attributes)
            assert native.recorded(attributes) == python.recorded(attributes)

    keys = st.sampled_from(["flow.data.note", "gen_ai.prompt", "http.url", "x", *SECRET_NAMES]) | texts
    values = {"key": keys, "text": texts, "shape": st.sampled_from(list(SHAPES)), "nest": nests}
    fuzzing.fuzz(examples, values, attack)


@pytest.mark.parametrize(
    "prose",
    [
        "The basic information about the token economy, in English. Key points follow; the author passes.",
        "a task-force of many at http://example.org/a?b=c, 2026-11-30 12:00, trace 4bf92f3577b34da6a3ce929d0e0e4736",
        '{"query": "shoes", "size": 42, "tags": ["a", "b"]}',
        "Key: a; author=b, max_tokens: 100; well-known key points <keyword>a</keyword>",
        "Überall Größe: 5 — 日本語のテキスト，価格：100",
    ],
)
def test_ordinary_texts_are_clean(prose: str) -> None:
    assert core().is_clean(prose)
    assert core().is_clean(prose * 100)


def test_what_is_no_unicode_is_left_to_python() -> None:
    assert not core().is_clean("lone \ud800 surrogate")


@pytest.mark.parametrize(
    "unit", ["pass", "sk-", "basic ", "card ", "token\\", "2222 2222 ", "cre<", "://", "key\u212b"]
)
def test_hostile_texts_take_time_in_proportion_to_their_length(unit: str) -> None:
    def seconds(text: str) -> float:
        times = []
        for _ in range(7):
            start = perf_counter()
            core().is_clean(text)
            times.append(perf_counter() - start)
        return min(times)

    short = unit * (4000 // len(unit))
    # 64 times as long; the square of that would be 4096.
    assert seconds(short * 64) < 500 * max(seconds(short), 2e-6)
