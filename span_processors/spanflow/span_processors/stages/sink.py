"""Where encoded things go: a sink does the I/O for one kind of server. Its runner (`sink_runner.py`) does the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Unavailable(Exception):
    """The server is away or refuses everything for now. The whole batch is offered again; nothing of it is lost."""


@dataclass(frozen=True, slots=True)
class Receipt(Generic[T]):
    """What became of a batch: every item is in exactly one of the three."""

    delivered: int
    #: Dropped, by reason.
    dropped: Mapping[str, int] = field(default_factory=dict)
    #: To be offered again, before anything newer.
    again: Sequence[T] = ()
    #: Why the server as a whole did not take what is in `again`; it is then treated as away for a while.
    away: str = ""


@dataclass(frozen=True, slots=True)
class Aside:
    """How much of a batch is safe elsewhere now, from its beginning, and why not all of it (a word for metrics)."""

    kept: int
    #: Empty when there is no such place at all.
    reason: str = ""


class Sink(Protocol[T]):
    """Does the I/O for one kind of server. What is not said to be for any thread runs on the runner's thread.

    That thread has an empty context in which instrumentation is suppressed.
    """

    @property
    def name(self) -> str:
        """For the thread's name, metrics and log lines."""
        ...

    def sizes(self, items: Sequence[T]) -> list[int]:
        """Bytes that each item occupies while it waits. For any thread."""
        ...

    def deliver(self, batch: Sequence[T], deadline: float) -> Receipt[T]:
        """Write the batch; give up at `deadline` (monotonic). Raises `Unavailable` when the server is away.

        Any other exception is a fault of ours: the batch is counted as lost with reason `fault`.
        """
        ...

    def set_aside(self, batch: Sequence[T]) -> Aside:
        """Keep the batch safe elsewhere: the server is away, or slower than what comes. For any thread."""
        ...

    def idle(self, deadline: float) -> float | None:
        """Housekeeping between batches while the server is believed to be there. May raise `Unavailable`.

        Returns the seconds after which it wants to be called again, None when it does not care.
        """
        ...

    def close(self, deadline: float) -> None:
        """Let go of connections and files. Nothing is called afterwards."""
        ...

    def after_fork(self) -> None:
        """In a forked child: forget connections and files without using them; they are the parent's."""
        ...


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """How much may wait, how much goes at once, and how long one attempt may take."""

    max_items: int = 200_000
    max_bytes: int = 64 * 1024 * 1024
    batch_items: int = 1000
    batch_bytes: int = 4 * 1024 * 1024
    timeout: float = 10.0
    #: How long a batch may take to come together, for servers where every round trip costs; a flush never waits for it.
    linger: float = 0.0
    #: The part of the time for a shutdown that is kept for setting aside what the server has not taken by then.
    spare: float = 0.0
    #: When more than this part of the bounds waits, a thread of its own sets the oldest aside; 1 means never.
    set_aside_from: float = 1.0
