"""Whoever may choose a text may not choose how long it takes to search it."""

import random
import re
from collections.abc import Callable, Iterator
from time import perf_counter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanflow.instrumentation.values import attribute_value
from spanflow.span_processors import metadata_names
from spanflow.span_processors.redaction import assignments, redaction, secret_names, secret_patterns, value_cleaner
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.secret_patterns import hide_secrets
from tests.support.regex_steps import CountingMatcher, sample

MODULES = (metadata_names, assignments, redaction, secret_names, secret_patterns, value_cleaner)
LENGTH = 600
#: Far above what any pattern takes, far below the square of the length.
MOST_STEPS_PER_CHARACTER = 40
#: Characters that patterns end at, or begin at.
EDGES = [*"-_.:=@/\\ \"'([{<>;,\n14a", "://", "eyJ", "sk-", "token ", "pwd:", "%3d"]


def patterns_of(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for member in value:
            yield from patterns_of(member)


def all_patterns(modules: tuple[ModuleType, ...]) -> list[re.Pattern[str]]:
    """Every pattern that these modules hold anywhere: a new one cannot be forgotten."""
    found = {
        pattern.pattern: pattern
        for module in modules
        for value in vars(module).values()
        for pattern in patterns_of(value)
    }
    return list(found.values())


PATTERNS = all_patterns(MODULES)


def steps_per_character(pattern: re.Pattern[str], text: str) -> float:
    matcher = CountingMatcher(pattern)
    spans = matcher.spans(text)
    assert spans == [match.span() for match in pattern.finditer(text)], "the counter does not do what Python does"
    return matcher.steps / len(text)


def repeated(parts: list[str]) -> str:
    unit = "".join(parts)
    return (unit * (LENGTH // len(unit) + 1))[:LENGTH]


@st.composite
def hostile_texts(draw: st.DrawFn, pattern: re.Pattern[str]) -> str:
    """Beginnings of what the pattern looks for, over and over: it comes far each time, and has to go back."""
    matching = sample(pattern, random.Random(draw(st.integers(0, 10**6)))) or "a"
    beginning = matching[: draw(st.integers(1, len(matching)))]
    edges = draw(st.lists(st.sampled_from(EDGES), max_size=2))
    lead = matching if draw(st.booleans()) else ""
    return (lead + repeated(draw(st.permutations([beginning, *edges]))))[:LENGTH]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern[:24])
@settings(max_examples=20)
@given(data=st.data())
def test_every_pattern_takes_steps_in_proportion_to_the_text(pattern: re.Pattern[str], data: st.DataObject) -> None:
    text = data.draw(hostile_texts(pattern))
    assert steps_per_character(pattern, text) < MOST_STEPS_PER_CHARACTER, text[:80]


@pytest.mark.parametrize(
    "slow",
    [
        r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.",
        r"[A-Za-z0-9._%+-]{1,64}@[a-z]",
        r"://[^/\s:@]{0,256}:[^\s@]{1,4096}@",
        r"(?:a|a)*b",
    ],
)
def test_the_counter_tells_a_slow_pattern(slow: str) -> None:
    pattern = re.compile(slow)
    texts = [repeated(["eyJ"]), repeated(["://a:"]), "a" * 12]
    assert max(steps_per_character(pattern, text) for text in texts) > MOST_STEPS_PER_CHARACTER


def seconds(work: Callable[[], object], runs: int = 30) -> float:
    """The shortest of several runs: what it takes when nothing else is in the way."""
    times = []
    for _ in range(runs):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("made", [attribute_value, str], ids=["of a checkpoint", "of a library"])
def test_what_is_beyond_the_limit_costs_nothing(made: Callable[[str], Any]) -> None:
    """A text of two megabytes takes what one of the permitted length takes, but for making it."""
    redactor = Redactor()

    def joined(text: str) -> Callable[[], str]:
        parts = (text[:1], text[1:])
        return lambda: "".join(parts)  # a new text each time, so that no hash of it is known

    def recorded(text: str) -> Callable[[], object]:
        new = joined(text)
        return lambda: redactor.attributes({"flow.data.note": made(new())})

    short, long = "a word " * 1_200, "a word " * 300_000
    of_making = seconds(joined(long))
    assert seconds(recorded(long)) - of_making < 3 * seconds(recorded(short)) + of_making / 2


def test_a_span_has_only_so_much_searched() -> None:
    """However many attributes, lists and objects a span has, and however long their texts are."""
    searched: list[int] = []

    class Counting(Redactor):
        def _without_secrets(self, value: str) -> tuple[str, int]:
            searched.append(len(value))
            return super()._without_secrets(value)

    redactor = Counting()
    attributes: dict[str, Any] = {f"text{number}": f"{number} {'x ' * 50_000}" for number in range(128)}
    attributes |= {"deep": [{"list": [f"{number} {'y ' * 90}" for number in range(500)]} for _ in range(500)]}
    clean, _ = redactor.attributes(attributes)
    assert len(clean) == len(attributes)
    assert sum(searched) < 8 * (8192 + 512) + 129 * (256 + 512) + 4096
    assert len(searched) < 1000


def test_a_text_with_very_many_secrets_is_hidden_whole() -> None:
    assert hide_secrets("token=hunter2 " * 500)[0] == "[redacted]"
