"""One connection to Postgres for one of our own threads, in an event loop of its own."""

import asyncio
import math
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg

from spanflow.span_processors.archive.postgres import UntracedConnection
from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.stages.fork_guard import THREAD_PREFIX
from spanflow.span_processors.stages.sink import Unavailable

R = TypeVar("R")

#: After a fork the child keeps what its parent had opened, untouched: to close the parent's event loop here would
#: take the loop's own sockets out of the poll set that both processes share.
_PARENTS: Final[list[object]] = []


class _OwnLoop(asyncio.SelectorEventLoop):
    """Not the application's choice of loop: this one must survive what is done with it around a fork."""

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix=f"{THREAD_PREFIX}resolver"))

    def __del__(self) -> None:
        """Nothing, unlike asyncio's: a forked child that ends would take the parent's wake-up socket out of the poll
        set they share. In the parent `close` has closed it."""


class PostgresLine:
    """Opens nothing before the first `run`; afterwards keeps one connection and renews it when it breaks.

    Fork: `after_fork` lets go of the parent's connection without a word to the server; the next `run` opens another.
    """

    def __init__(self, connect: Callable[[], Awaitable[UntracedConnection]], *, clock: Clock | None = None) -> None:
        self._connect = connect
        self._clock = clock or SystemClock()
        self._loop: _OwnLoop | None = None
        self._connection: UntracedConnection | None = None
        self._latest = math.inf
        self._limit: asyncio.Timeout | None = None

    def run(self, work: Callable[[UntracedConnection], Awaitable[R]], deadline: float) -> R:
        """Do `work` with the connection, or raise `Unavailable`, by `deadline` (monotonic).

        Whatever breaks off leaves no transaction behind: the connection is dropped then. A connection that turns out
        to have been closed while idle is renewed once.
        """
        if self._loop is None:
            self._loop = _OwnLoop()
        return self._loop.run_until_complete(self._attempt(work, deadline))

    def hurry(self, deadline: float) -> None:
        """From here on nothing takes longer than until `deadline`, nor does what goes on now. For any thread."""
        self._latest = deadline
        loop = self._loop
        if loop is not None and loop.is_running():
            with suppress(RuntimeError):  # it has ended in between
                loop.call_soon_threadsafe(self._shorten)

    def _shorten(self) -> None:
        if self._loop is not None and self._limit is not None:
            latest = self._loop.time() + self._left(self._latest)
            self._limit.reschedule(min(latest, self._limit.when() or latest))

    def _left(self, deadline: float) -> float:
        return max(0.0, min(deadline, self._latest) - self._clock.monotonic())

    async def _attempt(self, work: Callable[[UntracedConnection], Awaitable[R]], deadline: float) -> R:
        try:
            async with asyncio.timeout(self._left(deadline)) as self._limit:
                kept = self._connection
                if kept is not None and not kept.is_closed():
                    try:
                        return await work(kept)
                    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
                        self._drop()
                self._connection = await self._connect()
                return await work(self._connection)
        except TimeoutError:
            self._drop()
            raise Unavailable("no answer in time") from None
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError, asyncpg.InternalClientError) as why:
            self._drop()
            raise Unavailable(described(why)) from why
        except BaseException:
            self._drop()
            raise
        finally:
            self._limit = None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def close(self, deadline: float) -> None:
        """Say good-bye to the server when there is time for it, and close the loop."""
        if self._loop is None:
            return
        if self._connection is not None and not self._connection.is_closed():
            left = max(0.0, deadline - self._clock.monotonic())
            try:
                self._loop.run_until_complete(self._connection.close(timeout=min(left, 2.0)))
            except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError):
                self._drop()
        self._connection = None
        # Does not wait for the resolver's threads: they end by themselves, and one that still looks up a name may take
        # longer than there is time.
        self._loop.close()
        self._loop = None

    def after_fork(self) -> None:
        self._latest = math.inf
        if self._loop is None:
            return
        _PARENTS.append((self._loop, self._connection))
        if self._connection is not None:
            _forget_socket(self._connection)
        self._loop = self._connection = None


def described(error: BaseException) -> str:
    """An error in one line, without the values that Postgres quotes in its details."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}" if str(error) else type(error).__name__


def _forget_socket(connection: UntracedConnection) -> None:
    """Close the child's copy of the connection, so that the server sees the parent's end when the parent ends.

    Its number is given to /dev/null instead of being freed: the objects above still believe that it is theirs.
    """
    transport = connection._transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.fileno() < 0:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, sock.fileno(), inheritable=False)
    os.close(nothing)
