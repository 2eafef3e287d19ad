"""Remembers, in a cookie of the browser, that it was sent to sign in at the identity provider, and takes it back."""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import Final

from spanflow.viewer_api.auth.oidc_http import ProviderUnavailable
from spanflow.viewer_api.auth.oidc_login import LOGIN_SECONDS, Answer, OidcLogin
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.signed_tokens import Kind, Signer
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import identity_provider_unavailable
from spanflow.viewer_api.store.spent_tokens import SpentTokens

#: A page of the dashboard, below the folder that it is served at: never another site, nor a one-time code of somebody
#: else's behind the `#`.
_PAGE: Final = re.compile(r"(?=/)(?:/[A-Za-z0-9._~%@:+-]+)*/?(?:(?<=/)#/[A-Za-z0-9._~%@:+?=&/-]*)?", re.ASCII)
_LONGEST_PAGE: Final = 512


class OidcSessions:
    """From the click on *sign in* to the principal."""

    def __init__(self, login: OidcLogin, signer: Signer, spent: SpentTokens, clock: Clock) -> None:
        self._login = login
        self._signer = signer
        self._spent = spent
        self._clock = clock
        self.cookie_name = signer.cookie_name.replace("session", "login")

    async def begin(self, callback: str, page: str) -> tuple[str, str]:
        """Where the browser goes, and what its cookie has to remember."""
        number = secrets.token_urlsafe(24)
        try:
            address = await self._login.address(number, callback)
        except ProviderUnavailable:
            raise identity_provider_unavailable() from None
        good = len(page) <= _LONGEST_PAGE and _PAGE.fullmatch(page) is not None
        return address, self._signer.seal(Kind.LOGIN, [number, page if good else "/", self._clock() + LOGIN_SECONDS])

    async def finish(self, cookie: str, answer: Answer, callback: str) -> tuple[Principal, str]:
        """The signed-in principal and the page they came from, or `Rejected` with the reason; a cookie works once."""
        stated = self._signer.unsealed(Kind.LOGIN, cookie)
        if stated is None:
            raise Rejected("no sign-in that was begun here")
        number, page, expires_at = stated
        if expires_at <= self._clock():
            raise Rejected("a sign-in that took too long")
        # Only then is it remembered as used: strangers must not be able to fill the table.
        if not self._login.expects(number, answer):
            raise Rejected("a state that is not this browser's")
        fingerprint = hashlib.sha256(cookie.encode()).digest()
        if not await self._spent.spend(fingerprint, Kind.LOGIN, datetime.fromtimestamp(expires_at, UTC)):
            raise Rejected("a sign-in that is over")
        try:
            return await self._login.principal(number, answer, callback), page
        except ProviderUnavailable:
            raise identity_provider_unavailable() from None
