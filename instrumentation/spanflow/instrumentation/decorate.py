"""A checkpoint around every call of a function, whatever kind of function it is."""

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from spanflow.instrumentation.steps import Step, around, around_async

F = TypeVar("F", bound=Callable[..., Any])


def decorated(make_step: Callable[[], Step], function: F) -> F:
    """`function` with a step of its own around each call; for generators around the whole iteration.

    The result is a function of the same kind: FastAPI looks at that to tell dependencies with `yield` apart.
    """
    wrapper: Callable[..., Any]
    # An object with a `__call__` is of the kind that its `__call__` is.
    kind = function if inspect.isroutine(function) or isinstance(function, partial) else type(function).__call__
    if inspect.isasyncgenfunction(kind):
        wrapper = around_async(make_step, function)
    elif inspect.isgeneratorfunction(kind):
        wrapper = around(make_step, function)
    elif inspect.iscoroutinefunction(kind):

        async def in_step_async(*args: Any, **kwargs: Any) -> Any:
            with make_step():
                return await function(*args, **kwargs)

        wrapper = in_step_async
    else:

        def in_step(*args: Any, **kwargs: Any) -> Any:
            with make_step():
                return function(*args, **kwargs)

        wrapper = in_step
    return cast(F, functools.wraps(function)(wrapper))
