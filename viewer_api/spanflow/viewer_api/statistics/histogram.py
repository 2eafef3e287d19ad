"""Durations as exponential histograms of scale 4, as OpenTelemetry defines them: a bucket's upper bound is 2^(1/16)
times its lower one, so the relative error of any percentile is 2.2 % at most.

A histogram is stored as one decimal number with twelve digits for each bucket: the sum of such numbers, which Postgres
takes exactly whatever their length, is the histogram of all of them.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, log2
from typing import Final

_SCALE: Final = 16
_DIGITS: Final = 12
_NONE: Final = "0" * _DIGITS
_ROW_OF_NONE: Final = 16 * _NONE
_BUCKET: Final = re.compile(f".{{{_DIGITS}}}")
#: 2^64 ns are 584 years.
_LAST: Final = 64 * _SCALE
Buckets = dict[int, int]


def bucket_of(duration_ns: int) -> int:
    """The bucket of a duration; the first one has everything up to a nanosecond."""
    return min(max(ceil(log2(duration_ns) * _SCALE), 0), _LAST) if duration_ns > 1 else 0


def value_of(bucket: int) -> float:
    """What a duration in the bucket is taken for, in nanoseconds: wrong by the same share at both of its bounds."""
    if bucket <= 0:
        return 1.0
    low, high = 2 ** ((bucket - 1) / _SCALE), 2 ** (bucket / _SCALE)
    return 2 * low * high / (low + high)


def packed(buckets: Mapping[int, int]) -> str:
    """As the text of a number."""
    digits: list[str] = []
    above = None
    for bucket in sorted(buckets, reverse=True):
        # Between two of them hundreds are empty.
        if above is not None:
            digits.append(_NONE * (above - bucket - 1))
        digits.append(f"{buckets[bucket]:0{_DIGITS}d}")
        above = bucket
    return "".join(digits) + _NONE * (above or 0) or "0"


def unpacked(number: str) -> Buckets:
    """From the text of a number."""
    last = -(-len(number) // _DIGITS) - 1
    number = "0" * (-len(number) % _DIGITS) + number
    buckets: Buckets = {}
    # Hundreds of buckets are empty, many in a row.
    for start in range(0, len(number), len(_ROW_OF_NONE)):
        row = number[start : start + len(_ROW_OF_NONE)]
        if row != _ROW_OF_NONE:
            for place, count in enumerate(_BUCKET.findall(row), start // _DIGITS):
                if count != _NONE:
                    buckets[last - place] = int(count)
    return buckets


def percentiles(buckets: Mapping[int, int], shares: Sequence[float]) -> list[float | None]:
    """The durations, in nanoseconds, that these shares of all stay below or reach: by nearest rank."""
    total = sum(buckets.values())
    if not total:
        return [None] * len(shares)
    order = sorted(buckets)
    reached = list(accumulate(map(buckets.__getitem__, order)))
    return [value_of(order[bisect_left(reached, max(1, ceil(share * total - 1e-9)))]) for share in shares]


def share_below(buckets: Mapping[int, int], duration_ns: int) -> float | None:
    """Which share of all took no longer; those in the same bucket count as half."""
    total = sum(buckets.values())
    if not total:
        return None
    own = bucket_of(duration_ns)
    below = sum(count for bucket, count in buckets.items() if bucket < own)
    return (below + buckets.get(own, 0) / 2) / total


@dataclass(frozen=True, slots=True)
class StepPercentiles:
    """Where a step stands among those of its kind. Can be handed to another process."""

    durations: Mapping[str, Buckets]

    def __call__(self, step: str, duration_ns: int) -> float | None:
        """Which share of the steps of this kind took no longer, in percent; None where too few are known."""
        durations = self.durations.get(step)
        share = None if durations is None else share_below(durations, duration_ns)
        return None if share is None else round(100 * share, 1)


def added(histograms: Iterable[Mapping[int, int]]) -> Buckets:
    """All of them together."""
    total: Buckets = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total
