"""Reports what this viewer has lost, so that whichever viewer evaluates the rules knows of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database

_REPORT: Final = """
INSERT INTO {s}.loss_reports (at, process, kind, number) SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[])
"""


class LossReporter:
    """`read` gives what was lost since the process began, by kind. What cannot be reported now is reported later."""

    def __init__(self, database: Database, process: str, read: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        self._database = database
        self._process = process
        self._read = read
        self._clock = clock
        self._reported: Mapping[str, int] = {}

    async def run(self) -> None:
        counts = dict(self._read())
        added = {kind: number - self._reported.get(kind, 0) for kind, number in counts.items()}
        added = {kind: number for kind, number in added.items() if number > 0}
        if added:
            now = datetime.fromtimestamp(self._clock(), UTC)
            try:
                await self._database.execute(_REPORT, now, self._process, list(added), list(added.values()))
            except Problem:
                return
        self._reported = counts
