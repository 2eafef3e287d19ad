"""Which users this process has told the directory about, so that it does so at most once a minute for each."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spanflow.span_processors.clock import Clock, SystemClock
from spanflow.span_processors.identity import Identity

_MAX_NAME: Final = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A user in a flow."""

    user_id: str
    email: str | None
    full_name: str | None
    team: str | None
    time_ns: int

    @property
    def said(self) -> tuple[str | None, ...]:
        """What the directory keeps of the user."""
        return self.email, self.full_name, self.team


class UserMemory:
    """Used by the archive's thread only. Bounded: the user who was written longest ago is forgotten first."""

    def __init__(self, *, interval: float = 60.0, capacity: int = 10_000, clock: Clock | None = None) -> None:
        self._interval = interval
        self._capacity = capacity
        self._clock = clock or SystemClock()
        self._written: OrderedDict[str, tuple[float, tuple[str | None, ...]]] = OrderedDict()

    def due(self, seen: Iterable[Seen]) -> list[Seen]:
        """One row per user who is due, by user id as all locks are taken; what several say is put together."""
        rows: dict[str, Seen] = {}
        for one in seen:
            if self._is_due(one):
                other = rows.get(one.user_id, one)
                rows[one.user_id] = Seen(
                    one.user_id,
                    one.email or other.email,
                    one.full_name or other.full_name,
                    one.team or other.team,
                    max(one.time_ns, other.time_ns),
                )
        return [rows[user_id] for user_id in sorted(rows)]

    def _is_due(self, one: Seen) -> bool:
        written = self._written.get(one.user_id)
        if written is None or self._clock.monotonic() - written[0] >= self._interval:
            return True
        return any(new is not None and new != old for new, old in zip(one.said, written[1], strict=True))

    def written(self, rows: Iterable[Seen]) -> None:
        """These are committed."""
        now = self._clock.monotonic()
        for row in rows:
            _, words = self._written.get(row.user_id, (0.0, (None,) * len(row.said)))
            self._written[row.user_id] = (now, tuple(new or old for new, old in zip(row.said, words, strict=True)))
            self._written.move_to_end(row.user_id)
        while len(self._written) > self._capacity:
            self._written.popitem(last=False)

    def clear(self) -> None:
        self._written.clear()


def seen_in(user_id: str | None, identity: Identity, time_ns: int) -> Iterable[Seen]:
    """The user of a flow, if it has one."""
    if user_id is not None:
        texts = (identity.email, identity.full_name, identity.team)
        email, full_name, team = (value[:_MAX_NAME] if value else None for value in texts)
        yield Seen(user_id, email, full_name, team, time_ns)
