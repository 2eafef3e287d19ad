"""Which web pages may make a browser call this API.

CORS does not hold for sockets, nor for requests that a browser sends without asking; so the origin is checked here for
every socket and for every request that was not made with a bearer token. Reading counts as well: another site's page
would not see the answer, but the audit log would record a read.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.own_address import OwnAddress, without_port


def check_origins(origins: Sequence[str]) -> None:
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or f"{parts.scheme}://{parts.netloc}" != origin:
            raise SettingsError(
                f"SPANFLOW_VIEWER_ALLOWED_ORIGINS: {origin!r} is not an origin; write it like "
                "https://dashboard.example.com (no path, no `*`)."
            )


def as_sent(origins: Sequence[str]) -> tuple[str, ...]:
    """The listed origins as browsers write them."""
    listed = [urlsplit(origin.lower()) for origin in origins]
    return tuple(f"{parts.scheme}://{without_port(parts.netloc, parts.scheme)}" for parts in listed)


class Origins:
    """The viewer's own origin and the listed ones."""

    def __init__(self, allowed: Sequence[str], own: OwnAddress) -> None:
        self._allowed = frozenset(as_sent(allowed))
        self._own = own

    def allow(self, connection: HTTPConnection) -> bool:
        """Whether the page behind a request, if there is one, may make it. Programs send no `Origin`."""
        origins = connection.headers.getlist("origin")
        if not origins:
            return connection.headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
        if len(origins) > 1:
            return False
        origin = origins[0].lower()
        return origin in self._allowed or origin in self._own.origins(connection)
