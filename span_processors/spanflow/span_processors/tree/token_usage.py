"""Which spans of a flow count its tokens, so that none is counted twice.

One call to a model is often told by several spans: a wrapper, an SDK's instrumentation, a raw request. And an agent
sums up all calls that it made, over several models and without their cache counts. So the innermost requests to a model
count, and a span around them counts only where none below it does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from spanflow.span_processors import names
from spanflow.span_processors.event.conventions import is_inference, operation_of
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.tree.tree import time_of

#: Where a count may stand, the best place first: newest GenAI conventions, older ones, OpenInference.
_INPUT: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
_OUTPUT: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
_CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_COUNTED: Final = frozenset({*_INPUT, *_OUTPUT})
#: Which answer of a provider it was.
_ANSWER: Final = "gen_ai.response.id"
#: Reads a response that was made and counted before.
_FETCHES: Final = "fetch_response"


class TokenCounts(NamedTuple):
    """What one call used. Tokens read from and written to the provider's cache are part of the input."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


def token_counts(attributes: Mapping[str, Any]) -> TokenCounts | None:
    """The counts of one span, None when it has none, or only repeats those of an earlier call."""
    into, out = _first_number(attributes, _INPUT), _first_number(attributes, _OUTPUT)
    if (into is None and out is None) or operation_of(attributes) == _FETCHES:
        return None
    return TokenCounts(
        into or 0, out or 0, _first_number(attributes, _CACHE_READ) or 0, _first_number(attributes, _CACHE_WRITE) or 0
    )


def counted_calls(entries: Sequence[Event | None], parents: Sequence[int]) -> dict[int, TokenCounts]:
    """The places whose counts add up to the flow's, in order. `parents` has the place of each one's parent, which
    stands before it, and -1 at the top."""
    counts = {
        place: own_counts
        for place, entry in enumerate(entries)
        if entry is not None
        and (attributes := entry.get("attributes"))
        and not _COUNTED.isdisjoint(attributes)
        and (own_counts := token_counts(attributes))
    }
    return counts if len(counts) < 2 else _Nesting(entries, parents, counts).counted()


def total_usage(counts: Iterable[TokenCounts]) -> tuple[int, int]:
    """Input and output of several calls."""
    into = out = 0
    for count in counts:
        into += count.input
        out += count.output
    return into, out


class _Nesting:
    """Tells repetitions from calls of their own, with two passes over the places."""

    def __init__(
        self, entries: Sequence[Event | None], parents: Sequence[int], counts: Mapping[int, TokenCounts]
    ) -> None:
        self._entries = entries
        self._parents = parents
        self._counts = counts
        self._inference = {place for place in counts if _is_inference(entries[place])}

    def counted(self) -> dict[int, TokenCounts]:
        calls = self._innermost_calls()
        within = self._within(calls)
        sums = self._counts.keys() - self._inference
        # Whether something at or below the place counts.
        counts_below = [False] * len(self._entries)
        for place in reversed(range(len(self._entries))):
            if place in calls:
                counts_below[place] = True
            elif place in sums and not counts_below[place] and not within[place]:
                calls.add(place)
                counts_below[place] = True
            if counts_below[place] and self._parents[place] >= 0:
                counts_below[self._parents[place]] = True
        return {place: self._counts[place] for place in sorted(calls) if not self._repeats(place, calls)}

    def _repeats(self, place: int, calls: set[int]) -> bool:
        """Whether another span beside it, which began before, tells of the same answer: a client that makes spans
        itself is instrumented as well."""
        answer, start = self._answer(place), time_of(self._entries[place], "start_ns")
        if answer is None or start is None:
            return False
        return any(
            self._answer(other) == answer and _runs_at(self._entries[other], start)
            for other in calls
            if other < place and self._parents[other] == self._parents[place]
        )

    def _answer(self, place: int) -> str | None:
        entry = self._entries[place]
        answer = None if entry is None else (entry.get("attributes") or {}).get(_ANSWER)
        return answer if isinstance(answer, str) and answer else None

    def _innermost_calls(self) -> set[int]:
        """Requests to a model that no further one below repeats. One below a tool's call was made by the tool."""
        calls: set[int] = set()
        repeated = [False] * len(self._entries)
        for place in reversed(range(len(self._entries))):
            counted = repeated[place]
            if place in self._inference and not counted:
                calls.add(place)
                counted = True
            parent = self._parents[place]
            if counted and parent >= 0 and not self._begins_anew(place, parent):
                repeated[parent] = True
        return calls

    def _begins_anew(self, place: int, parent: int) -> bool:
        """Whether what is reported there says nothing about its parent's own call."""
        entry, around = self._entries[place], self._entries[parent]
        if entry is None or around is None:
            return False
        if entry.get("event_type") == names.TOOL_CALL:
            return True
        # In a chain of steps, the parent is the step before.
        start, end = time_of(entry, "start_ns"), time_of(around, "end_ns")
        return around["phase"] == names.END and start is not None and end is not None and start >= end

    def _within(self, calls: set[int]) -> list[bool]:
        """For each place, whether it lies within a call that counts, of which it is a detail."""
        within = [False] * len(self._entries)
        for place, parent in enumerate(self._parents):
            if parent >= 0 and (parent in calls or within[parent]):
                within[place] = not self._begins_anew(place, parent)
        return within


def _runs_at(entry: Event | None, moment_ns: int) -> bool:
    start, end = time_of(entry, "start_ns"), time_of(entry, "end_ns")
    return start is not None and start <= moment_ns and (end is None or end > moment_ns)


def _is_inference(entry: Event | None) -> bool:
    return entry is not None and is_inference(entry.get("event_type"), entry.get("attributes") or {})


def _first_number(attributes: Mapping[str, Any], places: Sequence[str]) -> int | None:
    return next((number for place in places if (number := whole_number(attributes.get(place))) is not None), None)


def whole_number(value: object) -> int | None:
    """A count, None for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
