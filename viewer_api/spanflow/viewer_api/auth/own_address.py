"""Where browsers find this viewer: as the settings say, or as the request itself does."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers, peer_of

_SECURE = {"https", "wss"}


def check_public_url(url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise SettingsError(
            f"SPANFLOW_VIEWER_PUBLIC_URL: {url!r} is no address of the viewer; write it like "
            "https://flows.example.com or https://example.com/flows."
        )


class OwnAddress:
    """What a request's headers say about it counts as far as the proxy that sent them is trusted."""

    def __init__(self, peers: ProxyPeers, public_url: str) -> None:
        self._peers = peers
        self._public = public_url.rstrip("/")

    def base(self, connection: HTTPConnection) -> str:
        """The address of the dashboard, without the last slash."""
        if self._public:
            return self._public
        scheme = "https" if self.is_secure(connection) else "http"
        host = self._forwarded(connection, "x-forwarded-host") or connection.headers.get("host", "")
        return f"{scheme}://{host}{str(connection.scope.get('root_path', '')).rstrip('/')}"

    def path(self, connection: HTTPConnection) -> str:
        """The folder that it is served at, without the last slash."""
        return urlsplit(self.base(connection)).path

    def origins(self, connection: HTTPConnection) -> set[str]:
        """Its own origin. Without a public address both schemes count: a proxy may terminate TLS."""
        if self._public:
            parts = urlsplit(self._public)
            return {f"{parts.scheme}://{without_port(parts.netloc.lower(), parts.scheme)}"}
        hosts = (connection.headers.get("host", ""), self._forwarded(connection, "x-forwarded-host"))
        return {
            f"{scheme}://{without_port(host.lower(), scheme)}" for scheme in ("https", "http") for host in hosts if host
        }

    def is_own_host(self, connection: HTTPConnection) -> bool:
        """Whether a browser may have been sent here by that name.

        With a public address, a foreign domain name is not accepted, wherever it leads to (DNS rebinding).
        Trusted proxies may say what they like, and what no domain of the internet can be is no such name: addresses,
        and names without a dot.
        """
        host = connection.headers.get("host", "").lower().rpartition("@")[2]
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        if not self._public or not _is_domain(name) or peer_of(connection) in self._peers:
            return True
        return name == (urlsplit(self._public).hostname or "")

    def is_secure(self, connection: HTTPConnection) -> bool:
        """Whether the browser's side of the connection is encrypted, as far as we can know."""
        if self._public:
            return self._public.startswith("https:")
        forwarded = self._forwarded(connection, "x-forwarded-proto")
        return (forwarded.lower() if forwarded else connection.url.scheme) in _SECURE

    def _forwarded(self, connection: HTTPConnection, header: str) -> str:
        return connection.headers.get(header, "").strip() if peer_of(connection) in self._peers else ""


def _is_domain(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return "." in name.rstrip(".")
    return False


def without_port(host: str, scheme: str) -> str:
    """As browsers write a host in an origin: they leave out the port that the scheme has anyway."""
    return host.removesuffix(":443" if scheme == "https" else ":80")
