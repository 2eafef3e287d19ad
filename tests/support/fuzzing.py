"""Many random values against one attack."""

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings


def examples(few: int, many: int) -> pytest.MarkDecorator:
    """So few in every run of the tests, and so many in the long ones."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.long)])


def fuzz(number_of_examples: int, values: dict[str, Any], attack: Callable[..., None]) -> None:
    """Call `attack` with so many different values, from a seed that the output of a failure shows."""
    number = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {number}\n")
    limits = settings(
        max_examples=number_of_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(limits(given(**values)(attack)))()
