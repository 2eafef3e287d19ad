"""Archives what gateways that are gone have left open, as a job of the viewer."""

from spanflow.span_processors.archive.reaper import Reaper
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


class Reaping:
    """A reaper that ended has let go of its connections: each run has a new one."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._settings = settings
        self._reaper: Reaper | None = None
        self._before = 0

    @property
    def reaped(self) -> int:
        """Flows archived since the process began."""
        return self._before + (self._reaper.reaped if self._reaper else 0)

    async def run(self) -> None:
        self._before = self.reaped
        self._reaper = Reaper(self._settings)
        await self._reaper.run()
