"""Reports what this viewer has lost, so that whichever viewer evaluates the rules knows of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from spanflow.viewer_api.alerts.loss_log import Loss, add_losses
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database

_SERVICE: Final = "spanflow viewer"


class LossReporter:
    """`read` gives what was lost since the process began, by cause. What cannot be reported now is reported later."""

    def __init__(self, database: Database, process: str, read: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        self._database = database
        self._process = process
        self._read = read
        self._clock = clock
        self._reported: Mapping[str, int] = {}

    async def run(self) -> None:
        counts = dict(self._read())
        added = {cause: number - self._reported.get(cause, 0) for cause, number in counts.items()}
        losses = [Loss(self._process, _SERVICE, cause, number) for cause, number in added.items() if number > 0]
        if losses:
            now = datetime.fromtimestamp(self._clock(), UTC)
            try:
                async with self._database.transaction() as connection:
                    await add_losses(self._database, connection, losses, now)
            except Problem:
                return
        self._reported = counts
