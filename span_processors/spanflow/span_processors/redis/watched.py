"""Which users are watched, known in the process: never a look-up per span.

A change is pushed by a message on `monitoring_changed`; everything is read again when the connection was lost and every
few seconds besides. Expiry is checked here, to the second, so it needs no message at all.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from redis.exceptions import RedisError

from spanflow.span_processors.names import (
    MONITORED_METADATA_ONLY,
    MONITORED_UNTIL,
    MONITORED_USERS,
    MONITORING_CHANGED,
)
from spanflow.span_processors.redis.redis_client import close_client, sync_client
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.breaker import Breaker
from spanflow.span_processors.stages.own_thread import OwnThread

_log = logging.getLogger(__name__)

FOREVER: Final = float("inf")
#: So long the first flows of a process wait at most before they are encoded (seconds).
_FIRST_READ: Final = 0.5


class Watched(Protocol):
    """What the encoder asks about watched users."""

    #: Rises with every change, so that the encoder looks at its open flows again.
    version: int

    def any_watched(self) -> bool: ...

    def is_watched(self, user_id: str) -> bool: ...

    def is_metadata_only(self, user_id: str) -> bool:
        """Whether those who watch this user may see what happened, but not what was said."""
        ...


class NoWatchedUsers:
    """For a pipeline without Redis."""

    version = 0

    def any_watched(self) -> bool:
        return False

    def is_watched(self, user_id: str) -> bool:
        return False

    def is_metadata_only(self, user_id: str) -> bool:
        return False


def watched_until(members: Iterable[bytes], until: Iterable[tuple[bytes, float]]) -> dict[str, float]:
    """User ids and when watching them ends. Who is only in the older set, which knows no end, stays until removed."""
    ends = {user.decode("utf-8", "replace"): end for user, end in until}
    for member in members:
        ends.setdefault(member.decode("utf-8", "replace"), FOREVER)
    return ends


class WatchedUsers:
    """Keeps the watched set of this process fresh on a thread of its own, started at the first span.

    While Redis is away, what was known last holds, with its expiry. Fork: the child reads the set again.
    """

    _POLL: Final = 0.1

    def __init__(
        self,
        settings: Settings,
        *,
        changed: Callable[[], None] = lambda: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._changed = changed
        self._wall_clock = wall_clock
        self._thread = OwnThread("watched", self._run)
        self._reset()

    def _reset(self) -> None:
        self._until: Mapping[str, float] = {}
        # None: Redis denies access to the key, so contents of no user are shown.
        self._metadata_only: frozenset[str] | None = frozenset()
        self.version = 0
        self._stop = threading.Event()
        self._loaded = threading.Event()

    # -- asked by the encoder ------------------------------------------------------------------------------------------

    def any_watched(self) -> bool:
        return bool(self._until)

    def is_watched(self, user_id: str) -> bool:
        return self._wall_clock() < self._until.get(user_id, 0.0)

    def is_metadata_only(self, user_id: str) -> bool:
        withheld = self._metadata_only
        return withheld is None or user_id in withheld

    # -- life ----------------------------------------------------------------------------------------------------------

    def ensure_started(self) -> None:
        self._thread.ensure_started()

    def wait_loaded(self, timeout: float = _FIRST_READ) -> bool:
        """Wait until the set has been read once, or Redis has not answered."""
        return self._loaded.wait(timeout)

    def shutdown(self, deadline: float) -> bool:
        self._stop.set()
        return self._thread.join(max(0.0, deadline - time.monotonic()))

    def after_fork(self) -> None:
        self._reset()
        self._thread.after_fork()

    # -- its own thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        breaker = Breaker()
        while not self._stop.is_set():
            try:
                self._listen(breaker)
            except (RedisError, OSError) as why:
                if not breaker.reason:
                    _log.warning("The watched users cannot be read (%s); those known until now stay watched.", why)
                breaker.failed(str(why) or "away")
                self._loaded.set()
                self._stop.wait(breaker.pause())
            except Exception:
                _log.exception("Reading the watched users failed")
                self._stop.wait(self._settings.watched_refresh)

    def _listen(self, breaker: Breaker) -> None:
        client: Any = sync_client(self._settings)
        pubsub: Any = None
        try:
            pubsub = client.pubsub()
            pubsub.subscribe(MONITORING_CHANGED)
            read_at = 0.0
            while not self._stop.is_set():
                if time.monotonic() >= read_at:
                    # Only after subscribing, so that no change falls between the two.
                    self._read(client)
                    breaker.succeeded()
                    read_at = time.monotonic() + self._settings.watched_refresh
                if pubsub.get_message(timeout=self._POLL) is not None:
                    # An announcement, or the confirmation of a subscription: after a silent reconnect as well.
                    read_at = 0.0
        finally:
            if pubsub is not None:
                pubsub.close()
            close_client(client)

    def _read(self, client: Any) -> None:
        pipeline = client.pipeline(transaction=False)
        # Before and after the others: a user seen as watched while a watch begins or ends is then known to be
        # watched without contents too.
        pipeline.smembers(MONITORED_METADATA_ONLY)
        pipeline.smembers(MONITORED_USERS)
        pipeline.zrange(MONITORED_UNTIL, 0, -1, withscores=True)
        pipeline.smembers(MONITORED_METADATA_ONLY)
        before, members, until, after = pipeline.execute(raise_on_error=False)
        for reply in (members, until):
            if isinstance(reply, Exception):
                raise reply
        now = self._wall_clock()
        fresh = {user: end for user, end in watched_until(members, until).items() if end > now}
        self._metadata_only = self._withheld(before, after)
        if fresh != self._until:
            self._until = fresh
            self.version += 1
            self._changed()
        self._loaded.set()

    def _withheld(self, before: Any, after: Any) -> frozenset[str] | None:
        for reply in (before, after):
            if isinstance(reply, Exception):
                if self._metadata_only is not None:
                    _log.error(
                        "Redis does not show which users are watched without contents (%s), so contents of all of them "
                        "are left out of %s. Let this user read %s.",
                        reply,
                        "flow_events",
                        MONITORED_METADATA_ONLY,
                    )
                return None
        return frozenset(user.decode("utf-8", "replace") for user in before | after)
