"""What the routes of one viewer process work with."""

import time
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.span_processors.ids import IdError, as_id
from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.auth.signed_tokens import Clock
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.live.redis_flows import RedisFlows
from spanflow.viewer_api.problems import forbidden, invalid_id, not_signed_in
from spanflow.viewer_api.store.activities import ActivityStore
from spanflow.viewer_api.store.audit_log import MAX_REASON, AuditLog, Entry
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.users import UserStore
from spanflow.viewer_api.watching import Watching

REASON_HEADER: Final = "x-spanflow-reason"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Composed once per process, in `lifespan.py`."""

    settings: Settings
    authenticator: Authenticator
    database: Database
    audit: AuditLog
    users: UserStore
    flows: FlowStore
    activities: ActivityStore
    redis_flows: RedisFlows
    watching: Watching
    hub: Hub
    clock: Clock = time.time

    async def look(
        self,
        connection: HTTPConnection,
        action: str,
        *,
        user_id: str | None = None,
        target: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Write down that somebody reads or watches, before they get to see anything."""
        await self.audit.look(self.entry(connection, action, user_id=user_id, target=target, reason=reason))

    def entry(
        self,
        connection: HTTPConnection,
        action: str,
        *,
        user_id: str | None = None,
        target: str | None = None,
        reason: str | None = None,
    ) -> Entry:
        principal = principal_of(connection)
        return Entry(
            actor=principal.name,
            via=principal.via.value,
            action=action,
            target_user=user_id,
            target=target,
            reason=reason or clean_reason(connection.headers.get(REASON_HEADER)),
            remote=connection.client.host if connection.client else None,
        )


def viewer_of(connection: HTTPConnection) -> Viewer:
    """The viewer that serves this request or socket."""
    viewer: Viewer = connection.app.state.viewer
    return viewer


def principal_of(connection: HTTPConnection) -> Principal:
    """Who this is; a problem when nobody is signed in."""
    principal: Principal | None = connection.scope.get("state", {}).get("principal")
    if principal is None:
        raise not_signed_in()
    return principal


class Needs:
    """A route's dependency: the right that it asks for. Every route of the API has one, which a test checks."""

    def __init__(self, right: Right | None) -> None:
        #: None: it is enough to be signed in.
        self.right = right

    def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_of(connection)
        if self.right is not None and not allowed(principal, self.right):
            raise forbidden(f"You need the right «{self.right}» for this.")
        return principal


def clean_reason(text: str | None) -> str | None:
    """A reason as it is stored: one line of printable text, not endless."""
    if text is None:
        return None
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:MAX_REASON] or None


def checked_id(value: object) -> str:
    """An id from a client; a problem when it cannot be one."""
    try:
        return as_id(value)
    except IdError as why:
        raise invalid_id(str(why).capitalize() + ".") from None
