"""Archives of one process each, for tests that deliver by hand."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spanflow.span_processors.archive.archive import ArchiveSink, build_archive
from spanflow.span_processors.clock import Clock
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.span_processors.stages.sink import Receipt


class Archives:
    """Makes archives against one database and one data directory."""

    def __init__(self, dsn: str, data_dir: Path) -> None:
        self.dsn = dsn
        self.data_dir = data_dir
        self.safe: list[str] = []
        self._made: list[ArchiveSink] = []

    def settings(self, **more: Any) -> SharedSettings:
        given = {"postgres_dsn": self.dsn, "data_dir": str(self.data_dir), "spool_reserve_bytes": 0, **more}
        return SharedSettings(**given)

    def make(self, instance: str = "p1", *, clock: Clock | None = None, **more: Any) -> ArchiveSink:
        archive = build_archive(self.settings(**more), lambda: instance, on_safe=self.safe.extend, clock=clock)
        self._made.append(archive)
        return archive

    def close(self) -> None:
        while self._made:
            self._made.pop().close(time.monotonic() + 5)


@contextmanager
def archives_in(dsn: str, data_dir: Path) -> Iterator[Archives]:
    made = Archives(dsn, data_dir)
    try:
        yield made
    finally:
        made.close()


def deliver(archive: ArchiveSink, *parts: FlowPart, within: float = 20.0) -> Receipt[FlowPart]:
    return archive.deliver(parts, time.monotonic() + within)


def replay(archive: ArchiveSink) -> None:
    """Housekeeping until nothing is left to do."""
    while archive.idle(time.monotonic() + 20) == 0.0:
        pass
