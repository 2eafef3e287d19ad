"""Who is behind a request or a socket."""

import dataclasses
import hmac
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from starlette.requests import HTTPConnection

from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.auth.origins import Origins, is_secure
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.signed_tokens import CODE_SECONDS, TICKET_SECONDS, Claim, Clock, Kind, Signer, TooLong
from spanflow.viewer_api.problems import forbidden
from spanflow.viewer_api.store.spent_tokens import SpentTokens

#: The one name that the access token signs in.
OPERATOR = "operator"

#: Who has the configured credential of this name now; None when it was taken away.
Owners = Callable[[str], Principal | None]


class Authenticator:
    """Finds the principal of a connection: bearer token, forward-auth proxy or session cookie, in this order."""

    def __init__(
        self, settings: Settings, spent: SpentTokens, clock: Clock, owners: Owners = lambda origin: None
    ) -> None:
        self._token = settings.viewer_token
        self._signer = Signer(settings.viewer_token)
        self._peers = ProxyPeers(settings.viewer_proxy_peers)
        self._proxy_header = settings.viewer_proxy_header
        self._session_length = timedelta(hours=settings.viewer_session_hours)
        self._spent = spent
        self._clock = clock
        self._owners = owners
        self.origins = Origins(settings.viewer_allowed_origins, self._peers)

    @property
    def cookie_name(self) -> str:
        return self._signer.cookie_name

    async def principal_of(self, connection: HTTPConnection) -> Principal | None:
        """Who this is, or None when no credential is good."""
        scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (principal := self.by_token(credential.strip())):
            return principal
        if principal := self._by_proxy(connection):
            return principal
        cookie = connection.cookies.get(self.cookie_name)
        return await self.by_session(cookie) if cookie else None

    def by_token(self, token: str) -> Principal | None:
        if self._token and hmac.compare_digest(token.encode(), self._token.encode()):
            return Principal(OPERATOR, Via.TOKEN, Role.ADMIN)
        return None

    async def by_session(self, cookie: str) -> Principal | None:
        claim = self._signer.read(Kind.SESSION, cookie, self._clock())
        if claim is None or await self._spent.contains(claim.fingerprint):
            return None
        return self._as_of_now(claim.principal(Via.SESSION, claim.expires, claim.fingerprint))

    async def by_ticket(self, ticket: str) -> Principal | None:
        """A ticket opens one socket; that lasts as long as a session would, and no longer than the ticket's owner."""
        claim = await self._use(Kind.TICKET, ticket)
        if claim is None or (claim.parent is not None and await self._spent.contains(claim.parent)):
            return None
        return self._as_of_now(claim.principal(Via.TICKET, self._end_of_session(claim), claim.parent))

    async def renewed(self, principal: Principal) -> Principal | None:
        """With the rights that `principal` has by now; None when what they signed in with does not hold any more."""
        if principal.expires_at is not None and principal.expires_at <= self._now():
            return None
        if principal.credential is not None and await self._spent.contains(principal.credential):
            return None
        return self._as_of_now(principal)

    async def exchange_code(self, code: str) -> tuple[str, Principal] | None:
        """A new session cookie for a one-time code, and who it signs in."""
        claim = await self._use(Kind.CODE, code)
        if claim is None:
            return None
        expires = self._end_of_session(claim)
        owner = claim.principal(Via.SESSION, expires, None)
        cookie = self._signer.mint(Kind.SESSION, owner, expires.timestamp())
        principal = await self.by_session(cookie)
        return (cookie, principal) if principal else None

    async def sign_out(self, principal: Principal) -> None:
        """Make the session worthless for everybody who has a copy of its cookie."""
        if principal.credential is not None and principal.expires_at is not None:
            await self._spent.spend(principal.credential, Kind.SESSION, principal.expires_at)

    def code_for(self, principal: Principal) -> tuple[str, datetime]:
        return self._mint(Kind.CODE, principal, CODE_SECONDS)

    def ticket_for(self, principal: Principal) -> tuple[str, datetime]:
        return self._mint(Kind.TICKET, principal, TICKET_SECONDS)

    def is_secure(self, connection: HTTPConnection) -> bool:
        return is_secure(connection, self._peers)

    def _mint(self, kind: Kind, principal: Principal, seconds: int) -> tuple[str, datetime]:
        expires = self._now() + timedelta(seconds=seconds)
        try:
            return self._signer.mint(kind, principal, expires.timestamp()), expires
        except TooLong:
            raise forbidden("You may see too many named users for this: use your own credential.") from None

    async def _use(self, kind: Kind, token: str) -> Claim | None:
        claim = self._signer.read(kind, token, self._clock())
        if claim is None or not await self._spent.spend(claim.fingerprint, kind, claim.expires):
            return None
        return claim

    def _by_proxy(self, connection: HTTPConnection) -> Principal | None:
        if connection.client is None or connection.client.host not in self._peers:
            return None
        # Sent twice, one of them may be the client's own.
        values = connection.headers.getlist(self._proxy_header)
        if len(values) != 1:
            return None
        name = values[0].encode("latin-1").decode("utf-8", "replace").strip()
        if not name or len(name) > 128 or any(unicodedata.category(char).startswith("C") for char in name):
            return None
        return Principal(name, Via.PROXY, Role.ADMIN)

    def _as_of_now(self, stated: Principal) -> Principal | None:
        """What was made from a configured credential has the rights which that one has at this moment."""
        if stated.origin is None:
            return stated
        owner = self._owners(stated.origin)
        if owner is None:
            return None
        return dataclasses.replace(stated, name=owner.name, role=owner.role, user_id=owner.user_id, scope=owner.scope)

    def _end_of_session(self, claim: Claim) -> datetime:
        end = self._now() + self._session_length
        return end if claim.until is None else min(end, datetime.fromtimestamp(claim.until, UTC))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def one_time_code(token: str, clock: Clock) -> str:
    """A code for the link that a command prints; the viewer that has the same access token exchanges it."""
    owner = Principal(OPERATOR, Via.TOKEN, Role.ADMIN)
    return Signer(token).mint(Kind.CODE, owner, clock() + CODE_SECONDS)
