"""Connections on which it is the client's turn: no request has come, or not all of it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

#: Of all that may be open (`limit_concurrency`), well below half.
MAX_IDLE: Final = 400
#: Of one address: a browser opens half a dozen, and many may share one address.
MAX_OF_ONE: Final = 100


class IdleConnections:
    """When there are too many, of one address or of all, the one that has been idle longest is closed: no client keeps
    others out by opening connections and saying nothing, and who has something to ask needs a place for a moment only.

    A reverse proxy connects when it has a request, so it seldom has many that are idle.
    """

    def __init__(self, most: int = MAX_IDLE, of_one: int = MAX_OF_ONE) -> None:
        self._most = most
        self._of_one = of_one
        self._idle: OrderedDict[Hashable, tuple[str, Callable[[], None]]] = OrderedDict()
        self._by_address: dict[str, OrderedDict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def add(self, connection: Hashable, address: str, close: Callable[[], None]) -> None:
        """It is the client's turn from now on."""
        self.discard(connection)
        self._idle[connection] = (address, close)
        ours = self._by_address.setdefault(address, OrderedDict())
        ours[connection] = None
        if len(ours) > self._of_one:
            self._close(next(iter(ours)))
        elif len(self._idle) > self._most:
            self._close(next(iter(self._idle)))

    def discard(self, connection: Hashable) -> None:
        """The client has said what it wants, or is gone."""
        entry = self._idle.pop(connection, None)
        if entry is None:
            return
        ours = self._by_address[entry[0]]
        del ours[connection]
        if not ours:
            del self._by_address[entry[0]]

    def _close(self, connection: Hashable) -> None:
        _, close = self._idle[connection]
        self.discard(connection)
        close()
