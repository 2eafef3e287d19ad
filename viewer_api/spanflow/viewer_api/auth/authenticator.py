"""Who is behind a request or a socket."""

import hmac
import unicodedata
from datetime import UTC, datetime, timedelta

from starlette.requests import HTTPConnection

from spanflow.span_processors.settings import Settings
from spanflow.viewer_api.auth.origins import Origins, is_secure
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.signed_tokens import CODE_SECONDS, TICKET_SECONDS, Claim, Clock, Kind, Signer
from spanflow.viewer_api.store.spent_tokens import SpentTokens

#: The one name that the access token signs in.
OPERATOR = "operator"


class Authenticator:
    """Finds the principal of a connection: bearer token, forward-auth proxy or session cookie, in this order."""

    def __init__(self, settings: Settings, spent: SpentTokens, clock: Clock) -> None:
        self._token = settings.viewer_token
        self._signer = Signer(settings.viewer_token)
        self._peers = ProxyPeers(settings.viewer_proxy_peers)
        self._proxy_header = settings.viewer_proxy_header
        self._session_length = timedelta(hours=settings.viewer_session_hours)
        self._spent = spent
        self._clock = clock
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
            return Principal(OPERATOR, Via.TOKEN)
        return None

    async def by_session(self, cookie: str) -> Principal | None:
        claim = self._signer.read(Kind.SESSION, cookie, self._clock())
        if claim is None or await self._spent.contains(claim.fingerprint):
            return None
        return Principal(claim.name, Via.SESSION, claim.expires, claim.fingerprint)

    async def by_ticket(self, ticket: str) -> Principal | None:
        """A ticket opens one socket; that socket lasts as long as a session would."""
        claim = await self._use(Kind.TICKET, ticket)
        return Principal(claim.name, Via.TICKET, self._now() + self._session_length) if claim else None

    async def still_valid(self, principal: Principal) -> bool:
        """Whether a socket that was opened by `principal` may stay open."""
        if principal.expires_at is not None and principal.expires_at <= self._now():
            return False
        return principal.credential is None or not await self._spent.contains(principal.credential)

    async def exchange_code(self, code: str) -> tuple[str, Principal] | None:
        """A new session cookie for a one-time code, and who it signs in."""
        claim = await self._use(Kind.CODE, code)
        if claim is None:
            return None
        cookie = self._signer.mint(Kind.SESSION, claim.name, (self._now() + self._session_length).timestamp())
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
        return self._signer.mint(kind, principal.name, expires.timestamp()), expires

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
        return Principal(name, Via.PROXY)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def one_time_code(token: str, clock: Clock) -> str:
    """A code for the link that a command prints; the viewer that has the same access token exchanges it."""
    return Signer(token).mint(Kind.CODE, OPERATOR, clock() + CODE_SECONDS)
