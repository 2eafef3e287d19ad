"""Forward-auth proxies: whose word about the signed-in user is believed."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network

from spanflow.span_processors.settings import SettingsError


class ProxyPeers:
    """Addresses and networks of trusted proxies, or of others that a setting names."""

    def __init__(self, peers: Sequence[str], setting: str = "SPANFLOW_VIEWER_PROXY_PEERS") -> None:
        self._networks = []
        for peer in peers:
            try:
                self._networks.append(ip_network(peer))
            except ValueError:
                raise SettingsError(
                    f"{setting}: {peer!r} is neither an address nor a network such as 10.0.0.0/8."
                ) from None

    def __contains__(self, host: str | None) -> bool:
        if not host or not self._networks:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
