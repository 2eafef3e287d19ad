"""Calls functions of the gateway's own that a request needs an answer of, and waits no longer than a limit.

They run on threads of ours, because a function that hangs on the event loop's thread would hang every request. The
threads are daemons, so that a hanging one keeps no process from ending. Fork: a child has none and starts its own.
"""

import asyncio
import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_THREADS: Final = 4
#: Seconds after which a thread that has nothing to do ends.
_IDLE: Final = 1.0


@dataclass(slots=True, eq=False)
class _Call:
    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


class BoundedCalls:
    """`await calls(function, argument)`; TimeoutError when it does not answer in time, or no thread is free for long.

    Calls that are given up are not begun any more. One that hangs occupies its thread; when all are occupied, further
    calls fail at once until one is free again, so that a function that always hangs costs requests nothing.
    """

    def __init__(self, within: float, threads: int = _THREADS) -> None:
        self._within = within
        self._most = threads
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._threads = 0
        #: When each thread that is occupied began its call.
        self._begun: dict[int, float] = {}

    async def __call__(self, function: Callable[[Any], Any], argument: Any) -> Any:
        if self._process != os.getpid():
            self._reset()
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        call = _Call(lambda: context.run(function, argument), loop, loop.create_future())
        with self._changed:
            if self._all_hang():
                raise TimeoutError
            self._waiting.append(call)
            if len(self._waiting) > self._threads - len(self._begun) and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name="spanflow-extractor", daemon=True).start()
            self._changed.notify()
        async with asyncio.timeout(self._within):
            return await call.answer

    def _all_hang(self) -> bool:
        late = time.monotonic() - self._within
        return len(self._begun) >= self._most and all(begun < late for begun in self._begun.values())

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._changed:
                self._begun.pop(me, None)
                while not self._waiting:
                    if not self._changed.wait(_IDLE) and not self._waiting:
                        self._threads -= 1
                        return
                call = self._waiting.popleft()
                if call.answer.cancelled():
                    continue
                self._begun[me] = time.monotonic()
            try:
                outcome, error = call.run(), None
            except BaseException as why:
                outcome, error = None, why
            try:
                call.loop.call_soon_threadsafe(_settle, call.answer, outcome, error)
            except RuntimeError:  # the loop is closed, and with it everything that waited
                pass


def _settle(answer: "asyncio.Future[Any]", outcome: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(outcome)
    else:
        answer.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
