"""The one Redis subscription of this process: every bell, and the announcement that the watched users have changed.

Pub/Sub silently loses what is sent while the connection is down. So after every (re-)connection every feed
looks at the streams again, and the line is tested while it is silent.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from spanflow.span_processors import names
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.redis_text import text_of
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS, unless_cancelled

log = logging.getLogger(__name__)

_BELLS: Final = names.flow_bell("*")
_BELL_PREFIX: Final = names.flow_bell("")
_PING_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


class Bells:
    """Runs until cancelled. `up` tells whether messages can arrive at this moment."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        on_bell: Callable[[str, str], None],
        on_announcement: Callable[[], None],
        on_state: Callable[[bool], None],
    ) -> None:
        self._client: Any = client
        self._on_bell = on_bell
        self._on_announcement = on_announcement
        self._on_state = on_state
        self.up = False

    async def run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            unless_cancelled()
            try:
                await self._listen()
            except REDIS_ERRORS as why:
                if self.up:
                    log.warning("Live data is interrupted, Redis cannot be reached: %s", why)
                    pause = _FIRST_PAUSE
                self._set(False)
            except Exception:
                # The client library fails on a dying server. The supervisor would wait much longer
                # before a restart, with all feeds down until then.
                log.exception("Live data is interrupted")
                self._set(False)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        pubsub = self._client.pubsub()
        try:
            await pubsub.psubscribe(_BELLS)
            await pubsub.subscribe(names.MONITORING_CHANGED)
            heard = asked = time.monotonic()
            while True:
                unless_cancelled()
                message = await pubsub.get_message(timeout=_PING_SECONDS / 4)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    self._take(message)
                elif now - heard > _SILENCE_SECONDS:
                    raise TimeoutError(f"no answer for {_SILENCE_SECONDS:g} s")
                if now - heard > _PING_SECONDS and now - asked > _PING_SECONDS:
                    asked = now
                    await pubsub.ping()
        finally:
            await pubsub.aclose()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "pmessage":
            user_id = text_of(message["channel"]).removeprefix(_BELL_PREFIX)
            self._on_bell(user_id, text_of(message["data"]))
        elif kind == "message":
            self._on_announcement()
        elif kind in {"subscribe", "psubscribe"}:
            # After a silent reconnection of the client library as well.
            self._set(True)
            self._on_announcement()

    def _set(self, up: bool) -> None:
        if up and not self.up:
            log.info("Live data: subscribed to %s.", _BELLS)
        self.up = up
        self._on_state(up)
