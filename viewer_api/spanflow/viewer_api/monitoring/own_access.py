"""What those may do who are signed in as one of the recorded users: look at themselves, without being told whether
they are watched."""

from typing import Final

from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.monitoring.watching import Watching
from spanflow.viewer_api.store.watches import Watch

#: The reason that stands in the audit log.
OWN: Final = "own flows"


def own_reason(principal: Principal, user_id: str) -> str | None:
    """Why `user_id` may be followed without stating a reason; None when a reason is required."""
    return OWN if user_id == principal.user_id else None


def knows_watches(principal: Principal) -> bool:
    """Whether they may be told who is watched, be it themselves."""
    return allowed(principal, Right.MONITOR)


def known_watch(principal: Principal, watching: Watching, user_id: str) -> Watch | None:
    """The watch that holds now, as far as `principal` may know of it."""
    return watching.watch_of(user_id) if knows_watches(principal) else None
