"""Wait for something that another thread or process does: bounded polling, the one place where tests wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
_STEP = 0.01


def eventually(check: Callable[[], T], within: float = 5.0) -> T:
    """Call `check` until its answer is true and raises no AssertionError or OSError; return that answer.

    After `within` seconds the last assertion is raised, or an AssertionError that shows the last answer.
    """
    deadline = time.monotonic() + within
    while True:
        problem: AssertionError | OSError | None = None
        try:
            answer = check()
        except (AssertionError, OSError) as why:
            problem = why
        else:
            if answer:
                return answer
        if time.monotonic() >= deadline:
            if problem is not None:
                raise problem
            raise AssertionError(f"still {answer!r} after {within:g} s")
        time.sleep(_STEP)


@overload
async def eventually_async(check: Callable[[], Awaitable[T]], within: float = 5.0) -> T: ...
@overload
async def eventually_async(check: Callable[[], T], within: float = 5.0) -> T: ...
async def eventually_async(check: Callable[[], Any], within: float = 5.0) -> Any:
    """The same for coroutines: `check` may be a plain function or a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        problem: AssertionError | OSError | None = None
        try:
            outcome = check()
            answer = await outcome if isinstance(outcome, Awaitable) else outcome
        except (AssertionError, OSError) as why:
            problem = why
        else:
            if answer:
                return answer
        if time.monotonic() >= deadline:
            if problem is not None:
                raise problem
            raise AssertionError(f"still {answer!r} after {within:g} s")
        await asyncio.sleep(_STEP)
