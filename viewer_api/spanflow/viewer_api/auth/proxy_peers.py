"""Forward-auth proxies: whose word about the signed-in user is believed."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.span_processors.setting_table import SettingsError

#: Who comes by a socket of this machine that has no port. Its file's mode says who may.
UNIX: Final = "unix"


class ProxyPeers:
    """Addresses and networks of trusted proxies, or of others that a setting names."""

    def __init__(self, peers: Sequence[str], setting: str = "SPANFLOW_VIEWER_PROXY_PEERS") -> None:
        self._unix = UNIX in peers
        self._networks = []
        for peer in peers:
            if peer == UNIX:
                continue
            try:
                self._networks.append(ip_network(peer))
            except ValueError:
                raise SettingsError(
                    f"{setting}: {peer!r} is neither an address nor a network such as 10.0.0.0/8, nor `unix`."
                ) from None

    def __contains__(self, host: str | None) -> bool:
        if host is None or host == UNIX:
            return host is not None and self._unix
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def peer_of(connection: HTTPConnection) -> str | None:
    """The other end of a connection: its address, or `UNIX`; None when it is not known, as of one that is gone."""
    if connection.client is not None:
        return connection.client.host
    server = connection.scope.get("server")
    return UNIX if server is not None and server[1] is None else None
