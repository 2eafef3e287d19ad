"""Follows a live stream over cut lines and restarts of the viewer: by its cursor nothing is missed or comes twice."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from spanflow.cli.terminal.client import Message, Params, Refused, Unreachable, ViewerClient
from spanflow.cli.terminal.wording import clean

PATH: Final = "/api/v1/live"
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
#: The viewer has nothing more to say.
_OVER: Final = frozenset({"ended", "requested"})


class Follower:
    """One stream, as long as there is something to follow."""

    def __init__(
        self,
        client: ViewerClient,
        params: Params,
        reason: str | None,
        note: Callable[[str], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._client = client
        self._params = params
        self._reason = reason
        self._note = note
        self._sleep = sleep
        self._last_id: str | None = None

    def messages(self) -> Iterator[dict[str, Any]]:
        """Each message once, in order. The first connection must succeed; later ones are tried for ever."""
        connected = broken = False
        pause = _FIRST_PAUSE
        while True:
            try:
                for message in self._client.stream(PATH, self._params, self._last_id, self._reason):
                    connected, broken = True, False
                    pause = _FIRST_PAUSE
                    self._last_id = message.id or self._last_id
                    yield message.data
                    if _is_over(message):
                        return
            except (Unreachable, Refused) as why:
                if not connected or (isinstance(why, Refused) and not why.passing):
                    raise
            if not broken:
                broken = True
                self._note("The line broke; it goes on as soon as the viewer is there again.")
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    @staticmethod
    def told(message: dict[str, Any]) -> str | None:
        """What a person should know of a message that is no event."""
        kind = message.get("type")
        user = clean(message.get("user_id", ""))
        if kind == "state":
            down = "Live data is interrupted: the viewer has no Redis. Nothing is lost."
            return down if message.get("redis") == "down" else "Live data flows again."
        if kind == "expiring":
            return f"The watch of user {user} ends in {clean(message.get('seconds_left'))} s."
        if kind == "unsubscribed":
            return f"User {user} is no longer followed: {clean(message.get('reason'))}."
        if kind == "error":
            hint = " Give one with --reason." if message.get("code") == "reason_required" else ""
            return clean(message.get("detail", message.get("code"))) + hint
        if kind == "missing":
            return f"Flow {clean(message.get('flow_id'))} cannot be read just now: {clean(message.get('reason'))}."
        return None


def _is_over(message: Message) -> bool:
    return message.data.get("type") == "closing" and message.data.get("code") in _OVER
