"""What a forward-auth proxy says about the signed-in person, in the headers that the settings name."""

from datetime import UTC, datetime, timedelta

from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.claims import RoleMapping, clean_id, clean_name, clean_scope
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers, peer_of
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

_OFF = "off"


class ForwardedHeaders:
    """Believed only on connections from the listed proxies. A proxy must set or remove every one of them."""

    def __init__(self, settings: ViewerSettings, peers: ProxyPeers, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock
        # Requests are decided again each time. What stays open would otherwise outlive the person's right to it.
        self._holds = timedelta(minutes=settings.viewer_proxy_holds_minutes)
        self._words = RoleMapping(settings)
        self._name = _header(settings.viewer_proxy_header)
        self._id = _header(settings.viewer_proxy_id_header)
        self._role = _header(settings.viewer_proxy_role_header)
        self._users = _header(settings.viewer_proxy_users_header)

    def principal(self, connection: HTTPConnection) -> Principal | None:
        """Who the proxy says it is; None when it says nothing, or nothing that can be believed."""
        if peer_of(connection) not in self._peers:
            return None
        try:
            name, user_id, role, users = (
                _one(connection, header) for header in (self._name, self._id, self._role, self._users)
            )
            if not name and not user_id:
                return None
            known_role = self._words.role((role or "").split(","))
            if known_role is None:
                return None
            return Principal(
                name=clean_name(name or user_id or ""),
                via=Via.PROXY,
                role=known_role,
                user_id=clean_id(user_id) if user_id else None,
                scope=clean_scope(_ids(users)) if self._users else None,
                expires_at=datetime.fromtimestamp(self._clock(), UTC) + self._holds,
            )
        except Rejected:
            return None


def _header(name: str) -> str | None:
    return None if not name.strip() or name.strip().lower() == _OFF else name.strip()


def _one(connection: HTTPConnection, header: str | None) -> str | None:
    """The one value of a header. Sent twice, one of them may be the client's own."""
    values = connection.headers.getlist(header) if header else []
    if len(values) > 1:
        raise Rejected("a header twice")
    return values[0].encode("latin-1").decode("utf-8", "replace").strip() if values else None


def _ids(users: str | None) -> list[str]:
    return [part.strip() for part in (users or "").split(",") if part.strip()]
