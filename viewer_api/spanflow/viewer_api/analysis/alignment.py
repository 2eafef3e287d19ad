"""Which members of two sequences correspond to each other, in the order of both."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, TypeAlias

#: Places in the first and in the second sequence; None where the other has no counterpart.
Pair: TypeAlias = tuple[int | None, int | None]
#: `SequenceMatcher` is quadratic: up to so many members, and equal pairs of members, it is used.
_MAX_MEMBERS: Final = 2_000
_MAX_EQUAL_PAIRS: Final = 50_000


def aligned(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[Pair]:
    """Every member of both, once. What only `one` has stands before what only `other` has at the same place."""
    low = 0
    while low < min(len(one), len(other)) and one[low] == other[low]:
        low += 1
    end = 0
    while end < min(len(one), len(other)) - low and one[-1 - end] == other[-1 - end]:
        end += 1
    inner = matches(one[low : len(one) - end], other[low : len(other) - end])
    anchors = [(place, place) for place in range(low)]
    anchors += [(low + left, low + right) for left, right in inner]
    anchors += [(len(one) - back, len(other) - back) for back in range(end, 0, -1)]
    return list(_between(anchors, len(one), len(other)))


def matches(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places of equal members, rising in both."""
    if not one or not other:
        return []
    first, second = Counter(one), Counter(other)
    equal_pairs = sum(count * second[member] for member, count in first.items())
    if len(one) + len(other) > _MAX_MEMBERS or equal_pairs > _MAX_EQUAL_PAIRS:
        return _nth_to_nth(one, other)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]


def _nth_to_nth(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The nth member of a kind corresponds to the nth of that kind, as far as their order is the same: the longest
    rising subsequence, in O(n log n) whatever the sequences are."""
    places: dict[tuple[Hashable, int], int] = {}
    seen: Counter[Hashable] = Counter()
    for place, member in enumerate(other):
        places[member, seen[member]] = place
        seen[member] += 1
    seen.clear()
    pairs: list[tuple[int, int]] = []
    for place, member in enumerate(one):
        there = places.get((member, seen[member]))
        seen[member] += 1
        if there is not None:
            pairs.append((place, there))
    return _longest_rising(pairs)


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    ends: list[int] = []
    end_pairs: list[int] = []
    before: list[int] = []
    for number, (_, right) in enumerate(pairs):
        length = bisect_left(ends, right)
        before.append(end_pairs[length - 1] if length else -1)
        if length == len(ends):
            ends.append(right)
            end_pairs.append(number)
        else:
            ends[length], end_pairs[length] = right, number
    rising = []
    number = end_pairs[-1] if end_pairs else -1
    while number >= 0:
        rising.append(pairs[number])
        number = before[number]
    return rising[::-1]


def _between(anchors: Sequence[tuple[int, int]], ones: int, others: int) -> Iterator[Pair]:
    left = right = 0
    for next_left, next_right in (*anchors, (ones, others)):
        yield from ((place, None) for place in range(left, next_left))
        yield from ((None, place) for place in range(right, next_right))
        if next_left < ones:
            yield next_left, next_right
        left, right = next_left + 1, next_right + 1
