"""Signed tokens that must not be used (again): exchanged codes and tickets, sessions that were signed out."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Database

#: How long an answer is believed before Postgres is asked again; other viewer processes sign people out, too.
_FRESH_SECONDS: Final = 2.0
_MAX_KNOWN: Final = 10_000


class SpentTokens:
    """Over all viewer processes, by the table `spent_tokens`."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()

    async def spend(self, fingerprint: bytes, kind: str, expires_at: datetime) -> bool:
        """Mark it as used; False when it was used before."""
        async with self._database.transaction() as connection:
            done = await connection.fetchval(
                self._database.sql(
                    "INSERT INTO {s}.spent_tokens (token_hash, kind, expires_at) VALUES ($1, $2, $3) "
                    "ON CONFLICT (token_hash) DO NOTHING RETURNING true"
                ),
                fingerprint,
                kind,
                expires_at,
            )
        self._remember(fingerprint, True)
        return bool(done)

    async def contains(self, fingerprint: bytes) -> bool:
        """Whether it was spent. While Postgres is away, what this process last knew counts."""
        expiry = self._known.get(fingerprint)
        if expiry is not None and (expiry[0] or self._monotonic() - expiry[1] < _FRESH_SECONDS):
            return expiry[0]
        try:
            row = await self._database.fetchrow(
                "SELECT true AS spent FROM {s}.spent_tokens WHERE token_hash = $1", fingerprint
            )
        except Problem:
            return expiry[0] if expiry is not None else False
        self._remember(fingerprint, row is not None)
        return row is not None

    async def forget_expired(self) -> None:
        """Delete what is refused by its age anyway."""
        await self._database.execute("SELECT {s}.expire_spent_tokens()")

    def _remember(self, fingerprint: bytes, spent: bool) -> None:
        self._known[fingerprint] = (spent, self._monotonic())
        self._known.move_to_end(fingerprint)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
