"""Throttles failed sign-ins by address, and records them in the audit log.

256 random bits cannot be guessed, throttled or not. The limit keeps guessing from costing anything else: time, or space
in the log. So it must not lock out those who share an address with an attacker: a credential that was good a
moment ago is looked at whatever the address did.
"""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from spanflow.viewer_api.auth.limits import TokenBuckets
from spanflow.viewer_api.auth.remote import neighbourhood
from spanflow.viewer_api.http.problems import Problem, too_many_attempts
from spanflow.viewer_api.store.audit_log import AuditLog, Entry

log = logging.getLogger(__name__)

_MINUTE: Final = 60.0
_KNOWN_SECONDS: Final = 15 * _MINUTE
_MOST_KNOWN: Final = 10_000
#: Rows of the audit log per minute, from everywhere and from one address.
_ROWS: Final = 60
_ROWS_OF_ONE: Final = 5
_ACTOR: Final = "unknown"


class LoginThrottle:
    """One per viewer process, in memory."""

    def __init__(self, per_minute: int, audit: AuditLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._monotonic = monotonic
        self._attempts = TokenBuckets(per_minute / _MINUTE, per_minute, monotonic)
        self._rows = TokenBuckets(_ROWS / _MINUTE, _ROWS, monotonic)
        self._rows_of_one = TokenBuckets(_ROWS_OF_ONE / _MINUTE, _ROWS_OF_ONE, monotonic)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._left_out = 0
        #: All failed sign-ins since the process began.
        self.failures = 0
        #: Attempts that were not even looked at.
        self.turned_away = 0

    def check(self, remote: str | None, credential: str) -> None:
        """`Problem` when this address has to wait before it may try a credential that is not known."""
        recent = self._known.get(_fingerprint(credential))
        if recent is not None and self._monotonic() - recent < _KNOWN_SECONDS:
            return
        wait = self._attempts.wait(neighbourhood(remote))
        if wait > 0:
            self.turned_away += 1
            raise too_many_attempts(wait)

    def passed(self, credential: str) -> None:
        """It was good."""
        fingerprint = _fingerprint(credential)
        self._known[fingerprint] = self._monotonic()
        self._known.move_to_end(fingerprint)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def failed(self, remote: str | None, how: str, why: str) -> None:
        """It was not. The row says from where and why; of the credential it holds nothing."""
        self.failures += 1
        self._attempts.take(neighbourhood(remote))
        if self._rows_of_one.take(neighbourhood(remote)) or self._rows.take(None):
            self._left_out += 1
            return
        log.warning("A sign-in from %s failed: %s, %s", remote, how, why)
        detail = {"why": why} | ({"left_out_before": self._left_out} if self._left_out else {})
        self._left_out = 0
        entry = Entry(_ACTOR, how, "login_failed", remote=remote, outcome="refused")
        with suppress(Problem):  # access is refused anyway, so Postgres is not needed for it
            await self._audit.write(entry, detail)


def _fingerprint(credential: str) -> bytes:
    return hashlib.sha256(credential.encode(errors="replace")).digest()
