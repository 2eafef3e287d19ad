"""What the routes of one viewer process work with."""

import dataclasses
import hashlib
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from starlette.requests import HTTPConnection

from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable
from spanflow.viewer_api.alerts.service import Alerts
from spanflow.viewer_api.auth.authenticator import Authenticator
from spanflow.viewer_api.auth.limits import RateLimits
from spanflow.viewer_api.auth.oidc_sessions import OidcSessions
from spanflow.viewer_api.auth.permissions import Principal, Right, allowed
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.remote import remote_address
from spanflow.viewer_api.auth.route_access import AccessRule
from spanflow.viewer_api.background.readiness import Readiness
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.erasure.erasure import Eraser
from spanflow.viewer_api.http.one_at_a_time import OneAtATime
from spanflow.viewer_api.http.problems import Problem, forbidden, not_signed_in
from spanflow.viewer_api.http.worker_process import WorkerProcess
from spanflow.viewer_api.live.hub import Hub
from spanflow.viewer_api.live.usual_times import UsualTimes
from spanflow.viewer_api.monitoring.watching import Watching
from spanflow.viewer_api.otlp.receiver import Receiver
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.activities import ActivityStore
from spanflow.viewer_api.store.audit_log import MAX_REASON, SAME_LOOK_SECONDS, AuditLog, Entry
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.flow_notes import FlowNotes
from spanflow.viewer_api.store.flows import FlowStore
from spanflow.viewer_api.store.redis_flows import RedisFlows
from spanflow.viewer_api.store.saved_filters import SavedFilters
from spanflow.viewer_api.store.share_links import ShareLinks
from spanflow.viewer_api.store.users import UserStore

log = logging.getLogger(__name__)

REASON_HEADER: Final = "x-spanflow-reason"
#: Where `scope["state"]` keeps the reason of the header.
_REASON: Final = "reason"
_MAX_SEARCHED: Final = 500
#: Under this name the log has a hash of a search that is too long for it.
_HASH: Final = "search_hash"
_NOTHING: Final[tuple[object, ...]] = (None, "", [], ())
_MAX_TARGET: Final = 256


@dataclass(frozen=True, slots=True)
class Viewer:
    """Composed once per process, in `lifespan.py`."""

    settings: ViewerSettings
    authenticator: Authenticator
    rates: RateLimits
    #: None without an identity provider.
    oidc: OidcSessions | None
    database: Database
    audit: AuditLog
    users: UserStore
    flows: FlowStore
    activities: ActivityStore
    redis_flows: RedisFlows
    watching: Watching
    hub: Hub
    eraser: Eraser
    alerts: Alerts
    share_links: ShareLinks
    notes: FlowNotes
    saved_filters: SavedFilters
    #: How long steps usually take.
    usual: UsualTimes
    readiness: Readiness
    #: What may be seen of users who are watched without contents.
    metadata: Metadata
    #: Whose word about where a request comes from is believed.
    proxies: ProxyPeers
    prices: PriceTable = NO_PRICES
    #: None when spans are not taken in.
    receiver: Receiver | None = None
    clock: Clock = time.time
    #: The place for the one large tree that is made at a time, and the process that makes it.
    large_trees: OneAtATime = field(default_factory=OneAtATime)
    worker: WorkerProcess = field(default_factory=WorkerProcess)

    async def record_access(
        self,
        connection: HTTPConnection,
        action: str,
        *,
        user_id: str | None = None,
        user_ids: Iterable[str] = (),
        target: str | None = None,
        reason: str | None = None,
        searched: Mapping[str, Any] | None = None,
        once_in: float = SAME_LOOK_SECONDS,
    ) -> None:
        """Write an access to the audit log before any data is shown; the same access again only after so many
        seconds. `user_ids`: those whom they named, of whom each gets a row. `searched`: what they asked for, by name;
        what is None or empty was not asked."""
        searched_words = _said(searched) if searched else ()
        entries = [
            replace(self.entry(connection, action, user_id=user, target=target, reason=reason), searched=searched_words)
            for user in tuple(user_ids) or (user_id,)
        ]
        await self.audit.record_access(*entries, once_in=once_in)

    async def record_access_to(
        self, connection: HTTPConnection, action: str, user_ids: Iterable[str | None], *, target: str
    ) -> None:
        """The same for what several users have a part in: a row for each of them."""
        users = [user for user in dict.fromkeys(user_ids) if user is not None]
        entries = [self.entry(connection, action, user_id=user, target=target) for user in users]
        await self.audit.record_access(*entries or [self.entry(connection, action, target=target)])

    async def must_see(self, connection: HTTPConnection, action: str, user_id: str | None) -> None:
        """A problem when the client asks for a user whom it may not see; None asks for all that it may see."""
        if user_id is not None and not principal_of(connection).sees(user_id):
            await self.denied(connection, action, user_id=user_id)
            raise forbidden("You may not see what this user does.")

    async def missed(self, connection: HTTPConnection, action: str, target: str) -> None:
        """Write to the audit log that a client with limited scope asked for something it cannot see.

        The same is written whether it exists or not, so that the log costs either the same time.
        """
        if principal_of(connection).visible is not None:
            await self.denied(connection, action, target=target)

    async def denied(
        self, connection: HTTPConnection, action: str, *, user_id: str | None = None, target: str | None = None
    ) -> None:
        """Write down what was refused. It is refused as well when it cannot be written."""
        entry = self.entry(connection, "denied", user_id=user_id, target=target)
        try:
            await self.audit.record_access(dataclasses.replace(entry, outcome="denied", detail=(("asked", action),)))
        except Problem as why:
            log.warning("%s was refused to %s, but that could not be recorded: %s", action, entry.actor, why.code)

    def entry(
        self,
        connection: HTTPConnection,
        action: str,
        *,
        user_id: str | None = None,
        target: str | None = None,
        reason: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Entry:
        principal = principal_of(connection)
        return Entry(
            actor=principal.name,
            via=principal.via.value,
            action=action,
            target_user=user_id,
            target=None if target is None else _plain(target),
            reason=reason or stated_reason(connection),
            remote=remote_address(connection, self.proxies),
            role=principal.role.value,
            detail=tuple((detail or {}).items()),
        )


def _said(searched: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What was searched, in a form that two equal looks have in common, and only they: what is shortened has a hash of
    the whole beside it."""
    whole = {name: _word(value) for name, value in searched.items() if value not in _NOTHING}
    words = [(name, word[:_MAX_SEARCHED] if isinstance(word, str) else word) for name, word in whole.items()]
    if any(isinstance(word, str) and len(word) > _MAX_SEARCHED for word in whole.values()):
        words.append((_HASH, hashlib.blake2b(repr(whole).encode(errors="replace"), digest_size=16).hexdigest()))
    return tuple(words)


def _word(value: Any) -> int | float | str:
    if isinstance(value, int | float):
        return value
    text = ", ".join(value) if isinstance(value, list | tuple) else str(value)
    return _plain(text)


def _plain(text: str) -> str:
    """As Postgres can keep it: an address may hold a NUL, and JSON in a query half of a character."""
    return text.replace("\0", "").encode(errors="replace").decode()


def viewer_of(connection: HTTPConnection) -> Viewer:
    """The viewer that serves this request or socket."""
    viewer: Viewer = connection.app.state.viewer
    return viewer


def principal_of(connection: HTTPConnection) -> Principal:
    """The signed-in principal; a problem when there is none."""
    principal: Principal | None = connection.scope.get("state", {}).get("principal")
    if principal is None:
        raise not_signed_in()
    return principal


class Needs(AccessRule):
    """A route's dependency: the right that it requires. For which users, `Viewer.must_see` checks."""

    def __init__(self, right: Right | None, *, max_body: int | None = None) -> None:
        #: None: it is enough to be signed in.
        self.right = right
        self.max_body = max_body

    async def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_of(connection)
        if self.right is not None and not allowed(principal, self.right):
            await viewer_of(connection).denied(connection, self.right.value, target=connection.url.path[:_MAX_TARGET])
            raise forbidden(f"You need the right '{self.right}' for this.")
        return principal


class SocketNeeds(AccessRule):
    """The same for a socket, which may sign in by its first message: `entered` checks the right after that."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, connection: HTTPConnection) -> None:
        if connection.scope["type"] == "http":
            await Needs(self.right)(connection)
        connection.scope["state"]["needed"] = self.right


def stated_reason(connection: HTTPConnection) -> str | None:
    """The reason in the header. Programs write UTF-8 there; other bytes are taken as Latin-1."""
    state = connection.scope.setdefault("state", {})
    if _REASON not in state:
        # Asked for again for each user whom a request names.
        said = connection.headers.get(REASON_HEADER)
        if said is not None:
            with suppress(UnicodeError):
                said = said.encode("latin-1").decode()
        state[_REASON] = clean_reason(said)
    reason: str | None = state[_REASON]
    return reason


def clean_reason(text: str | None) -> str | None:
    """A reason as it is stored: one line of printable text, not endless."""
    if text is None:
        return None
    # Cleaning takes away at most what is no text at all.
    text = text[: 4 * MAX_REASON]
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:MAX_REASON] or None
