"""Who is behind a request or a socket."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.bearers import Bearers
from spanflow.viewer_api.auth.forwarded import ForwardedHeaders
from spanflow.viewer_api.auth.login_throttle import LoginThrottle
from spanflow.viewer_api.auth.origins import Origins
from spanflow.viewer_api.auth.own_address import OwnAddress
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.remote import remote_address
from spanflow.viewer_api.auth.signed_tokens import (
    CODE_SECONDS,
    TICKET_SECONDS,
    Claim,
    Kind,
    Signer,
    TooLong,
    fingerprint_of,
)
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem, forbidden
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.spent_tokens import SpentTokens

#: Browsers take a cookie of such a name only from this very host, and only with `Secure`.
_PREFIX: Final = "__Host-"


class Authenticator:
    """Finds the principal of a connection: bearer token, forward-auth proxy or session cookie, in this order."""

    def __init__(
        self,
        settings: ViewerSettings,
        signer: Signer,
        bearers: Bearers,
        doorkeeper: LoginThrottle,
        spent: SpentTokens,
        clock: Clock,
    ) -> None:
        self._signer = signer
        self._bearers = bearers
        self._peers = ProxyPeers(settings.viewer_proxy_peers)
        self._forwarded = ForwardedHeaders(settings, self._peers, clock)
        self._session_length = timedelta(hours=settings.viewer_session_hours)
        self._spent = spent
        self._clock = clock
        self.doorkeeper = doorkeeper
        self.address = OwnAddress(self._peers, settings.viewer_public_url)
        self.origins = Origins(settings.viewer_allowed_origins, self.address)

    def cookie_name(self, connection: HTTPConnection) -> str:
        """The session's cookie."""
        return self.own_cookie(self._signer.cookie_name, connection)

    def own_cookie(self, name: str, connection: HTTPConnection) -> str:
        """The name of a cookie. Where it can, it makes browsers refuse one that a neighbouring subdomain has set: on an
        encrypted line, at an address of the viewer's own. Such a cookie has the path `/`."""
        return _PREFIX + name if self._is_alone(connection) else name

    def own_path(self, path: str, connection: HTTPConnection) -> str:
        """The path of such a cookie. Where its name allows it, what else is served at the same host does not get it."""
        return "/" if self._is_alone(connection) else self.address.path(connection) + path or "/"

    def _is_alone(self, connection: HTTPConnection) -> bool:
        return self.address.is_secure(connection) and not self.address.path(connection)

    @property
    def problem(self) -> str | None:
        """What is wrong with the file of tokens as it is now."""
        return self._bearers.tokens.problem

    def remote_of(self, connection: HTTPConnection) -> str | None:
        """The address that a connection comes from."""
        return remote_address(connection, self._peers)

    async def principal_of(self, connection: HTTPConnection) -> Principal | None:
        """Who this is, or None when no credential is good. `Problem` when it cannot be found out now."""
        sent = connection.headers.getlist("authorization")
        scheme, _, credential = (sent[0] if len(sent) == 1 else "").partition(" ")
        token = credential.strip() if scheme.lower() == "bearer" else ""
        rejected: Rejected | Problem | None = None
        if token:
            try:
                return await self._checked(connection, token)
            except (Rejected, Problem) as why:
                rejected = why
        # A proxy that has authenticated the user may leave a token of its own in that header.
        if principal := self._forwarded.principal(connection):
            return principal
        cookie = connection.cookies.get(self.cookie_name(connection))
        if cookie and (principal := await self.by_session(cookie)):
            return principal
        if isinstance(rejected, Problem):
            raise rejected
        if rejected is not None:
            await self.doorkeeper.failed(self.remote_of(connection), Via.TOKEN, str(rejected))
        return None

    async def by_token(self, token: str, connection: HTTPConnection) -> Principal | None:
        """Whose token this is; None for an unknown token."""
        try:
            return await self._checked(connection, token)
        except Rejected as why:
            await self.doorkeeper.failed(self.remote_of(connection), Via.TOKEN, str(why))
            return None

    async def by_session(self, cookie: str) -> Principal | None:
        claim = self._signer.read(Kind.SESSION, cookie, self._clock())
        if claim is None or await self._spent.contains(claim.fingerprint):
            return None
        return self._as_of_now(claim.principal(Via.SESSION, claim.expires, claim.fingerprint))

    async def by_ticket(self, ticket: str, connection: HTTPConnection) -> Principal | None:
        """A ticket opens one socket; that lasts as long as a session would, and no longer than the ticket's owner."""
        claim = await self._used(Kind.TICKET, ticket, connection)
        if claim is None or await self._is_signed_out(claim):
            return None
        return self._as_of_now(claim.principal(Via.TICKET, self._end_of_session(claim.until), claim.parent))

    async def renewed(self, principal: Principal) -> Principal | None:
        """With the rights that `principal` has by now; None when what they signed in with does not hold any more."""
        if principal.expires_at is not None and principal.expires_at <= self._now():
            return None
        if principal.credential is not None and await self._spent.contains(principal.credential):
            return None
        return self._as_of_now(principal)

    async def exchange_code(self, code: str, connection: HTTPConnection) -> tuple[str, Principal] | None:
        """A new session cookie for a one-time code, and who it signs in."""
        claim = await self._used(Kind.CODE, code, connection)
        if claim is None or await self._is_signed_out(claim):
            return None
        until = None if claim.until is None else datetime.fromtimestamp(claim.until, UTC)
        owner = self._as_of_now(claim.principal(Via.SESSION, claim.expires, None))
        return self.session_for(dataclasses.replace(owner, expires_at=until)) if owner else None

    def session_for(self, owner: Principal) -> tuple[str, Principal]:
        """A new session cookie for `owner`, which ends when their credential does, and who it signs in."""
        until = None if owner.expires_at is None else owner.expires_at.timestamp()
        expires = self._end_of_session(until)
        stated = dataclasses.replace(owner, via=Via.SESSION, expires_at=expires, credential=None)
        cookie = self._minted(Kind.SESSION, stated, expires)
        claim = self._signer.read(Kind.SESSION, cookie, self._clock())
        if claim is None:
            raise forbidden("Your credential ends at this moment.")
        return cookie, dataclasses.replace(stated, credential=claim.fingerprint)

    async def sign_out(self, principal: Principal) -> None:
        """Revoke the session, for every copy of its cookie."""
        if principal.credential is not None and principal.expires_at is not None:
            await self._spent.spend(principal.credential, Kind.SESSION, principal.expires_at)

    def code_for(self, principal: Principal) -> tuple[str, datetime]:
        expires = self._now() + timedelta(seconds=CODE_SECONDS)
        if principal.via is Via.TOKEN and principal.origin == self._bearers.operator.origin:
            return self._signer.mint_link_code(expires.timestamp()), expires
        return self._minted(Kind.CODE, principal, expires), expires

    def ticket_for(self, principal: Principal) -> tuple[str, datetime]:
        expires = self._now() + timedelta(seconds=TICKET_SECONDS)
        return self._minted(Kind.TICKET, principal, expires), expires

    def _minted(self, kind: Kind, principal: Principal, expires: datetime) -> str:
        try:
            return self._signer.mint(kind, principal, expires.timestamp())
        except TooLong:
            raise forbidden("You may see too many named users for this: use your own credential.") from None

    async def _checked(self, connection: HTTPConnection, token: str) -> Principal:
        self.doorkeeper.check(self.remote_of(connection), token)
        principal = await self._bearers.principal(token)
        self.doorkeeper.passed(token)
        return principal

    async def _used(self, kind: Kind, token: str, connection: HTTPConnection) -> Claim | None:
        """What a token says that is good for once, now that it was used."""
        remote = self.remote_of(connection)
        self.doorkeeper.check(remote, token)
        claim = self._read(kind, token)
        if claim is not None and await self._spent.spend(claim.fingerprint, kind, claim.expires):
            return claim
        why = "wrong or too old" if claim is None else "used already"
        await self.doorkeeper.failed(remote, "ticket" if kind is Kind.TICKET else "code", why)
        return None

    def _read(self, kind: Kind, token: str) -> Claim | None:
        now = self._clock()
        if kind is not Kind.CODE or (expires_at := self._signer.link_code_expiry(token, now)) is None:
            return self._signer.read(kind, token, now)
        owner = self._bearers.operator
        return Claim(
            kind, owner.name, owner.role, None, None, owner.origin, expires_at, None, None, fingerprint_of(token)
        )

    async def _is_signed_out(self, claim: Claim) -> bool:
        """Whether the session that it was made from is over."""
        return claim.parent is not None and await self._spent.contains(claim.parent)

    def _as_of_now(self, stated: Principal) -> Principal | None:
        """What was made from a configured credential has the rights which that one has at this moment."""
        if stated.origin is None:
            return stated
        owner = self._bearers.owner_now(stated.origin)
        if owner is None:
            return None
        return dataclasses.replace(stated, name=owner.name, role=owner.role, user_id=owner.user_id, scope=owner.scope)

    def _end_of_session(self, until: float | None) -> datetime:
        end = self._now() + self._session_length
        return end if until is None else min(end, datetime.fromtimestamp(until, UTC))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def one_time_code(token: str, clock: Clock, secret: str = "") -> str:
    """A code for the link that a command prints; the viewer with the same access token and secret exchanges it."""
    return Signer(secret or token).mint_link_code(clock() + CODE_SECONDS)
