"""Whoever may choose a text may not choose how long it takes to search it."""

import random
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanflow.span_processors import metadata_names
from spanflow.span_processors.redaction import assignments, redaction, secret_names, secret_patterns, value_cleaner
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
