"""Who is watched now, kept in step in three places: Postgres (the truth), Redis (what gateways read) and this process.

A change goes to Postgres first and then to Redis. What Redis missed, because it was away or was emptied, is made good
by the next round.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from spanflow.span_processors.redis import watch_claims, watched_store
from spanflow.span_processors.redis.redis_client import AsyncClient
from spanflow.span_processors.redis.watch_claims import Claims
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.monitoring.policy import MonitoringPolicy
from spanflow.viewer_api.store.audit_log import AuditLog, Entry
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.redis_flows import REDIS_ERRORS
from spanflow.viewer_api.store.watches import Watch, WatchStore

log = logging.getLogger(__name__)

#: Subscribers are warned this long before a watch ends.
NOTICE_SECONDS: Final = 60.0
#: So often Postgres is asked while Redis, which announces changes, is away.
_ALONE_SECONDS: Final = 1.0
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
    #: Contents that were left out until now may be seen from now on.
    contents_again: bool = False


Listener = Callable[[Change], None]
#: The audit log's entry about one user and what was changed.
EntryOf = Callable[[str, dict[str, Any]], Entry]
#: When an extended watch ends.
EndOf = Callable[[Watch], int]


@dataclass
class Watching:
    """One per viewer process; several processes may run at once."""

    store: WatchStore
    redis: AsyncClient
    audit: AuditLog
    database: Database
    policy: MonitoringPolicy
    clock: Clock
    refresh_seconds: float
    listeners: list[Listener] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._running: dict[str, Watch] = {}
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._loaded = False
        self._redis_away = False

    # -- asked by routes and sockets -----------------------------------------------------------------------------------

    def watch_of(self, user_id: str) -> Watch | None:
        """The watch that holds at this very moment."""
        watch = self._running.get(user_id)
        return watch if watch is not None and watch.is_running(self.clock()) else None

    def will_tell(self, user_id: str | None) -> bool:
        """Whether listeners are going to hear when the watch of this user ends: they have not yet."""
        return user_id in self._running

    def running(self) -> list[Watch]:
        """All users watched now, the newest watch first."""
        now = self.clock()
        watches = [watch for watch in self._running.values() if watch.is_running(now)]
        return sorted(watches, key=lambda watch: (-(watch.enabled_at or 0.0), watch.user_id))

    def withholds(self, user_id: str | None) -> bool:
        """Whether of this user's running flows only metadata may be seen, live or otherwise."""
        if not self._loaded:
            return True
        # As long as its listeners have not heard that it is over.
        watch = self._running.get(user_id) if user_id is not None else None
        return self.policy.metadata_only_for(watch.metadata_only if watch else None)

    def withholds_any(self) -> bool:
        """Whether there may be users of whose running flows only metadata may be seen."""
        return self.withholds(None) or any(watch.metadata_only for watch in self._running.values())

    def past_is_withheld(self, user_id: str | None) -> bool:
        """Whether only metadata of this user's stored flows may be seen: while they are watched without contents."""
        without = self.watched_without_contents()
        return without is None or user_id in without

    def watched_without_contents(self) -> frozenset[str] | None:
        """All users watched without contents; None while that is not known yet."""
        if not self._loaded:
            return None
        return frozenset(user_id for user_id, watch in self._running.items() if watch.metadata_only)

    async def enable(
        self,
        user_ids: Sequence[str],
        *,
        expires_at: int,
        reason: str | None,
        by: str,
        metadata_only: bool | None,
        entry_of: EntryOf,
    ) -> bool:
        """Watch all these users until `expires_at`, or none of them; False when gateways only hear of it when Redis is
        back."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await self.store.lock(connection)
            others = await self.store.active(connection)
            before = {user: others.pop(user) for user in user_ids if user in others}
            self.policy.check_number(len(user_ids) + sum(watch.is_running(now) for watch in others.values()))
            watches = [
                Watch(
                    user_id,
                    expires_at,
                    reason=reason,
                    by=by,
                    enabled_at=now,
                    metadata_only=self._asked(metadata_only, before.get(user_id), now),
                )
                for user_id in user_ids
            ]
            await self.store.put(connection, watches)
            await self.audit.write_in(connection, [entry_of(watch.user_id, _changed(watch)) for watch in watches])
        return await self._took_effect(watches)

    def _asked(self, metadata_only: bool | None, before: Watch | None, now: float) -> bool:
        """Left out, it keeps its value: an older dashboard does not reveal contents by accident."""
        if metadata_only is None and before is not None and before.is_running(now):
            metadata_only = before.metadata_only
        return self.policy.metadata_only_for(metadata_only)

    async def extend(
        self, user_ids: Sequence[str], *, end_of: EndOf, reason: str | None, by: str, entry_of: EntryOf
    ) -> tuple[list[Watch], bool]:
        """Let all these watches last longer, or none. Who began them and why stays; who extended them is added."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await self.store.lock(connection)
            active = await self.store.active(connection, user_ids)
            missing = [user for user in user_ids if user not in active or not active[user].is_running(now)]
            if missing:
                raise not_watched(missing)
            watches = []
            for user_id in user_ids:
                watch = active[user_id]
                end = end_of(watch)
                by_whom = {"by": by, "at": int(now), "reason": reason, "expires_at": end}
                watches.append(replace(watch, expires_at=end, extensions=[*watch.extensions, by_whom]))
            await self.store.put(connection, watches)
            await self.audit.write_in(
                connection,
                [
                    entry_of(
                        watch.user_id,
                        {"expires_at": _iso(watch.expires_at), "before": _iso(active[watch.user_id].expires_at)},
                    )
                    for watch in watches
                ],
            )
        return watches, await self._took_effect(watches)

    async def disable(self, user_ids: Sequence[str], *, entry_of: EntryOf) -> bool:
        """End these watches; nothing happens to those users who have none."""
        async with self.database.transaction() as connection:
            await self.store.lock(connection)
            ended = await self.store.disable(connection, user_ids)
            watched = ended | {user for user in user_ids if self.watch_of(user) is not None}
            await self.audit.write_in(
                connection, [entry_of(user_id, {"was_watched": user_id in watched}) for user_id in user_ids]
            )
        try:
            await watched_store.unwatch(self.redis, user_ids)
        except REDIS_ERRORS:
            await self.refresh()
            return False
        await self.refresh()
        return True

    async def _took_effect(self, watches: Sequence[Watch]) -> bool:
        """Tell the gateways and the other viewers, as far as Redis is there."""
        ends = {watch.user_id: float(watch.expires_at) for watch in watches}
        withheld = {watch.user_id for watch in watches if self.policy.metadata_only_for(watch.metadata_only)}
        try:
            await watch_claims.add(self.redis, await self.store.owner(), Claims(ends, withheld))
            await watched_store.watch(self.redis, ends, withheld)
        except REDIS_ERRORS:
            await self.refresh()
            return False
        await self.refresh()
        return True

    # -- in the background ---------------------------------------------------------------------------------------------

    def announced(self) -> None:
        """Another process changed something."""
        self._changed.set()

    async def run(self) -> None:
        """Bring the three places in step, again and again."""
        while True:
            # Expiries first: the end of a watch is announced without waiting for Postgres.
            self._tell(self._running)
            try:
                await self.refresh()
            except Problem as why:
                log.warning(
                    "The watched users cannot be read from Postgres (%s); those known until now stay.", why.code
                )
            with suppress(TimeoutError):
                # Not `wait_for`: until Python 3.12 it loses a cancellation that meets the change.
                async with asyncio.timeout(self._until_next()):
                    await self._changed.wait()
            self._changed.clear()

    async def refresh(self) -> None:
        """Read Postgres, repair Redis where it differs, and notify the listeners of changes."""
        async with self._refreshing:
            watches = {watch.user_id: watch for watch in await self.store.all()}
            now = self.clock()
            running = {
                user_id: replace(watch, metadata_only=self.policy.metadata_only_for(watch.metadata_only))
                for user_id, watch in watches.items()
                if watch.is_running(now)
            }
            self._loaded = True
            await self._repair_redis(watches, running, now)
            self._tell(running)
            await self._end([watch for watch in watches.values() if watch.active and watch.expires_at <= now])

    async def _repair_redis(self, watches: dict[str, Watch], running: dict[str, Watch], now: float) -> None:
        wanted = {user_id: watch.expires_at for user_id, watch in running.items()}
        withheld = {user_id for user_id, watch in running.items() if watch.metadata_only}
        unsaid = self.policy.metadata_only_for(None)
        try:
            present = await watched_store.watched_users(self.redis)
            added = [user_id for user_id, end in present.items() if math.isinf(end) and user_id not in watches]
            if unsaid:
                withheld.update(added)
            own = Claims(wanted, withheld)
            union = own.with_others(await watch_claims.settle(self.redis, await self.store.owner(), own), now)
            unwanted = [user_id for user_id in present if user_id not in union.until and user_id not in added]
            over = await self._without_new(unwanted, watches)
            await watched_store.unwatch(self.redis, over)
            if await watched_store.bring_in_step(self.redis, union.until, now, union.withheld) or over:
                log.info("The watched users in Redis were synchronized with Postgres.")
        except REDIS_ERRORS as why:
            log.debug("The watched users in Redis cannot be checked: %s", why)
            self._redis_away = True
            # What Redis alone knew stays known.
            running.update({user: watch for user, watch in self._running.items() if math.isinf(watch.expires_at)})
            return
        self._redis_away = False
        for user_id in added:
            running[user_id] = Watch(user_id, present[user_id], metadata_only=unsaid)

    async def _without_new(self, over: Sequence[str], watches: Mapping[str, Watch]) -> Sequence[str]:
        """Those whose watch is over, or was taken out of Postgres by the gateway's own route. Another viewer may have
        begun one since we read: it writes Postgres first, so a second look finds it."""
        if all(user_id in watches for user_id in over):
            return over
        new = {watch.user_id for watch in await self.store.all() if watch.user_id not in watches}
        return [user_id for user_id in over if user_id not in new]

    async def _end(self, watches: Sequence[Watch]) -> None:
        """Record expired watches; once, by the first viewer process."""
        if not watches:
            return
        by_user = {watch.user_id: watch for watch in watches}
        async with self.database.transaction() as connection:
            ended = sorted(await self.store.end_expired(connection, watches))
            await self.audit.write_in(connection, [_expiry(by_user[user_id]) for user_id in ended])
        for user_id in ended:
            log.info("Monitoring of user %s has expired.", user_id)

    def _tell(self, running: dict[str, Watch]) -> None:
        """Compare with what was known, at this moment."""
        before, now = self._running, self.clock()
        self._running = {user_id: watch for user_id, watch in running.items() if watch.is_running(now)}
        for user_id, old in before.items():
            if user_id not in self._running:
                self._told.discard(user_id)
                self._notify(Change(user_id, None, "expired" if old.expires_at <= now else "disabled"))
        for user_id, watch in self._running.items():
            previous = before.get(user_id)
            if previous is None or _visible(previous) != _visible(watch):
                if previous is None or previous.expires_at != watch.expires_at:
                    self._told.discard(user_id)
                again = previous is not None and bool(previous.metadata_only) and not watch.metadata_only
                self._notify(Change(user_id, watch, contents_again=again))
            if user_id not in self._told and watch.expires_at - now <= NOTICE_SECONDS:
                self._told.add(user_id)
                self._notify(Change(user_id, watch, expiring=True))

    def _notify(self, change: Change) -> None:
        for listener in list(self.listeners):
            listener(change)

    def _until_next(self) -> float:
        """Seconds to the next round: a regular one, or the very moment when a watch ends or is about to."""
        now = self.clock()
        # Without Redis there are no announcements.
        moments = [now + (min(self.refresh_seconds, _ALONE_SECONDS) if self._redis_away else self.refresh_seconds)]
        for user_id, watch in self._running.items():
            if user_id not in self._told:
                moments.append(watch.expires_at - NOTICE_SECONDS)
            moments.append(watch.expires_at)
        return min(max(min(moments) - now, 0.001), _LONGEST_SLEEP)


def not_watched(user_ids: Sequence[str]) -> Problem:
    named = ", ".join(user_ids[:10]) + (", …" if len(user_ids) > 10 else "")
    return Problem(404, "not_watched", f"Not watched, so there is nothing to extend: {named}. No watch was extended.")


def _visible(watch: Watch) -> tuple[object, ...]:
    """What clients are notified of."""
    return watch.expires_at, watch.metadata_only, watch.reason, watch.by


def _changed(watch: Watch) -> dict[str, Any]:
    return {"expires_at": _iso(watch.expires_at), "metadata_only": watch.metadata_only}


def _expiry(watch: Watch) -> Entry:
    return Entry("system", "system", "monitoring_expired", target_user=watch.user_id, reason=watch.reason)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
