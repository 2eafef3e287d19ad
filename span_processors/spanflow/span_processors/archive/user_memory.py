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
    time_ns: int


class UserMemory:
    """Used by the archive's thread only. Bounded: the user who was written longest ago is forgotten first."""

    def __init__(self, *, interval: float = 60.0, capacity: int = 10_000, clock: Clock | None = None) -> None:
        self._interval = interval
        self._capacity = capacity
        self._clock = clock or SystemClock()
        self._written: OrderedDict[str, tuple[float, str | None, str | None]] = OrderedDict()

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
                    max(one.time_ns, other.time_ns),
                )
        return [rows[user_id] for user_id in sorted(rows)]

    def _is_due(self, one: Seen) -> bool:
        written, email, full_name = self._written.get(one.user_id, (None, None, None))
        if written is None or self._clock.monotonic() - written >= self._interval:
            return True
        return (one.email is not None and one.email != email) or (
            one.full_name is not None and one.full_name != full_name
        )

    def written(self, rows: Iterable[Seen]) -> None:
        """These are committed."""
        now = self._clock.monotonic()
        for row in rows:
            _, email, full_name = self._written.get(row.user_id, (0.0, None, None))
            self._written[row.user_id] = (now, row.email or email, row.full_name or full_name)
            self._written.move_to_end(row.user_id)
        while len(self._written) > self._capacity:
            self._written.popitem(last=False)

    def clear(self) -> None:
        self._written.clear()


def seen_in(user_id: str | None, identity: Identity, time_ns: int) -> Iterable[Seen]:
    """The user of a flow, if it has one."""
    if user_id is not None:
        email, full_name = (value[:_MAX_NAME] if value else None for value in (identity.email, identity.full_name))
        yield Seen(user_id, email, full_name, time_ns)
