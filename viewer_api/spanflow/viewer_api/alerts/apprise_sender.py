"""Sends to e-mail, chat and so on by Apprise, which is an extra.

The destinations are in an Apprise file of the viewer's operator, and a channel names a tag of it. So no password of a
mail server is in the database, and authors of rules cannot choose an address in our network.
"""

import asyncio
import logging
from typing import Any, Final

from spanflow.viewer_api.alerts.webhook import Answer

log = logging.getLogger(__name__)

_SECONDS: Final = 30.0


class AppriseSender:
    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def problem(self) -> str | None:
        """Why nothing can be sent this way."""
        if not self._path:
            return "SPANFLOW_ALERT_APPRISE names no file"
        try:
            import apprise  # noqa: F401
        except ImportError:
            return "apprise is not installed: pip install 'spanflow[apprise]'"
        return None

    async def send(self, tag: str, title: str, text: str) -> Answer:
        problem = self.problem
        if problem is not None:
            return Answer(False, None, f"unavailable: {problem}")
        try:
            async with asyncio.timeout(_SECONDS):
                receivers = await asyncio.to_thread(self._receivers)
                if receivers is None:
                    return Answer(False, None, "unavailable: the file of SPANFLOW_ALERT_APPRISE cannot be read")
                if not list(receivers.find(tag)):
                    return Answer(False, None, "no_such_tag")
                sent = bool(await receivers.async_notify(body=text, title=title, tag=tag))
                return Answer(sent, None, None if sent else "refused")
        except TimeoutError:
            return Answer(False, None, "timeout")

    def _receivers(self) -> Any:
        """Whoever stands in the file now; None when it cannot be read."""
        import apprise

        config: Any = apprise.AppriseConfig()
        if not config.add(self._path):
            return None
        receivers: Any = apprise.Apprise()
        receivers.add(config)
        return receivers
