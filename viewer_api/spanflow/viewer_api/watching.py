"""Who is watched now, kept in step in three places: Postgres (the truth), Redis (what gateways read) and this process.

A change goes to Postgres first and then to Redis. What Redis missed, because it was away or was emptied, is made good
by the next round.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from spanflow.span_processors.redis import watched_store
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.viewer_api.auth.signed_tokens import Clock
from spanflow.viewer_api.live.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.problems import Problem
from spanflow.viewer_api.store.audit_log import AuditLog, Entry
from spanflow.viewer_api.store.watches import Watch, WatchStore

log = logging.getLogger(__name__)

#: Subscribers are told so long before a watch ends.
NOTICE_SECONDS: Final = 60.0
_LONGEST_SLEEP: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a round has found out about one user. `watch` is None when they are not watched any more."""

    user_id: str
    watch: Watch | None
    #: Why they are not: `expired` or `disabled`.
    why: str = ""
    #: The watch goes on, but not for long.
    expiring: bool = False


Listener = Callable[[Change], None]


@dataclass
class Watching:
    """One per viewer process; several processes may run at once."""

    store: WatchStore
    redis: AsyncClient
    audit: AuditLog
    clock: Clock
    refresh_seconds: float
    listeners: list[Listener] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._running: dict[str, Watch] = {}
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        self._refreshing = asyncio.Lock()

    # -- asked by routes and sockets -----------------------------------------------------------------------------------

    def watch_of(self, user_id: str) -> Watch | None:
        """The watch that holds at this very moment."""
        watch = self._running.get(user_id)
        return watch if watch is not None and watch.is_running(self.clock()) else None

    def running(self) -> list[Watch]:
        """Everybody who is watched now, the newest watch first."""
        now = self.clock()
        found = [watch for watch in self._running.values() if watch.is_running(now)]
        return sorted(found, key=lambda watch: (-(watch.enabled_at or 0.0), watch.user_id))

    async def enable(self, user_ids: Sequence[str], *, expires_at: int, reason: str | None, by: str) -> bool:
        """Watch users until `expires_at`; False when gateways will only hear of it when Redis is back."""
        await self.store.enable(user_ids, expires_at=expires_at, enabled_at=self.clock(), reason=reason, by=by)
        try:
            await watched_store.watch(self.redis, dict.fromkeys(user_ids, float(expires_at)))
        except REDIS_ERRORS:
            await self.refresh()
            return False
        await self.refresh()
        return True

    async def disable(self, user_ids: Sequence[str]) -> bool:
        await self.store.disable(user_ids)
        try:
            await watched_store.unwatch(self.redis, user_ids)
        except REDIS_ERRORS:
            await self.refresh()
            return False
        await self.refresh()
        return True

    # -- in the background ---------------------------------------------------------------------------------------------

    def announced(self) -> None:
        """Somebody else changed something."""
        self._changed.set()

    async def run(self) -> None:
        """Bring the three places in step, again and again."""
        while True:
            try:
                await self.refresh()
            except Problem as why:
                log.warning(
                    "The watched users cannot be read from Postgres (%s); those known until now stay.", why.code
                )
            self._tell(self._running)
            with suppress(TimeoutError):
                # Not `wait_for`: until Python 3.12 it loses a cancellation that meets the change.
                async with asyncio.timeout(self._until_next()):
                    await self._changed.wait()
            self._changed.clear()

    async def refresh(self) -> None:
        """Read Postgres, repair Redis where it says something else, and tell the listeners what changed."""
        async with self._refreshing:
            watches = {watch.user_id: watch for watch in await self.store.all()}
            now = self.clock()
            running = {user_id: watch for user_id, watch in watches.items() if watch.is_running(now)}
            await self._repair_redis(watches, running, now)
            self._tell(running)
            for watch in watches.values():
                if watch.active and watch.expires_at <= now:
                    await self._end(watch)

    async def _repair_redis(self, watches: dict[str, Watch], running: dict[str, Watch], now: float) -> None:
        wanted = {user_id: watch.expires_at for user_id, watch in running.items()}
        try:
            present = await watched_store.watched_users(self.redis)
            over = [user_id for user_id in present if user_id in watches and user_id not in wanted]
            await watched_store.unwatch(self.redis, over)
            if await watched_store.bring_in_step(self.redis, wanted, now) or over:
                log.info("The watched users in Redis were brought in step with Postgres.")
        except REDIS_ERRORS as why:
            log.debug("The watched users in Redis cannot be checked: %s", why)
            # What Redis alone knew stays known.
            running.update({user: watch for user, watch in self._running.items() if math.isinf(watch.expires_at)})
            return
        for user_id, end in present.items():
            if math.isinf(end) and user_id not in watches:
                running[user_id] = Watch(user_id, end)

    async def _end(self, watch: Watch) -> None:
        if await self.store.end_expired(watch):
            entry = Entry("system", "system", "monitoring_expired", target_user=watch.user_id, reason=watch.reason)
            await self.audit.write(entry)
            log.info("Monitoring of user %s has expired.", watch.user_id)

    def _tell(self, running: dict[str, Watch]) -> None:
        """Compare with what was known, at this moment."""
        before, now = self._running, self.clock()
        self._running = {user_id: watch for user_id, watch in running.items() if watch.is_running(now)}
        for user_id, old in before.items():
            if user_id not in self._running:
                self._told.discard(user_id)
                self._notify(Change(user_id, None, "expired" if old.expires_at <= now else "disabled"))
        for user_id, watch in self._running.items():
            known = before.get(user_id)
            if known is None or known.expires_at != watch.expires_at:
                self._told.discard(user_id)
                self._notify(Change(user_id, watch))
            if user_id not in self._told and watch.expires_at - now <= NOTICE_SECONDS:
                self._told.add(user_id)
                self._notify(Change(user_id, watch, expiring=True))

    def _notify(self, change: Change) -> None:
        for listener in list(self.listeners):
            listener(change)

    def _until_next(self) -> float:
        """Seconds to the next round: a regular one, or the very moment when a watch ends or is about to."""
        now = self.clock()
        moments = [now + self.refresh_seconds]
        for user_id, watch in self._running.items():
            if user_id not in self._told:
                moments.append(watch.expires_at - NOTICE_SECONDS)
            moments.append(watch.expires_at)
        return min(max(min(moments) - now, 0.001), _LONGEST_SLEEP)
