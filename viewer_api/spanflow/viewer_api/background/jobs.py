"""What is known of the jobs beside the requests: how often they ran, how often they failed, whether they still do."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

#: A job that failed so lately counts as failing, though it was started again.
FAILING_SECONDS: Final = 60.0


@dataclass
class JobRecord:
    """One job of this process."""

    name: str
    #: Rounds that were finished; of a job without rounds, how often it was started.
    runs: int = 0
    failures: int = 0
    #: Whether it has a task that works or waits.
    alive: bool = False
    last_error: str | None = None
    failed_at: float | None = None

    def failed(self, error: BaseException | str, now: float) -> None:
        self.failures += 1
        self.failed_at = now
        self.last_error = error if isinstance(error, str) else f"{type(error).__name__}: {error}"


@dataclass
class JobRegistry:
    """The jobs of one viewer process."""

    monotonic: Callable[[], float] = time.monotonic
    _records: dict[str, JobRecord] = field(default_factory=dict)

    def record(self, name: str) -> JobRecord:
        return self._records.setdefault(name, JobRecord(name))

    def __iter__(self) -> Iterator[JobRecord]:
        return iter(self._records.values())

    def failing(self) -> list[JobRecord]:
        """Jobs that do not work as they should at this moment."""
        now = self.monotonic()
        return [
            record
            for record in self
            if not record.alive or (record.failed_at is not None and now - record.failed_at < FAILING_SECONDS)
        ]
