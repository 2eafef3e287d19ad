"""Which address a request comes from, seen past the proxies that are trusted."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.proxy_peers import ProxyPeers, peer_of

_MOST_HOPS: Final = 32


def remote_address(connection: HTTPConnection, peers: ProxyPeers) -> str | None:
    """The nearest address that is no trusted proxy: what stands before it in `X-Forwarded-For` may be invented."""
    nearest = peer_of(connection)
    if nearest not in peers:
        return nearest
    hops = ",".join(connection.headers.getlist("x-forwarded-for")).rsplit(",", _MOST_HOPS)
    for hop in list(reversed(hops))[:_MOST_HOPS]:
        address = _address(hop)
        if address is None:
            break
        nearest = address
        if address not in peers:
            break
    return nearest


def neighbourhood(address: str | None) -> str:
    """What limits count together: an IPv4 address; of IPv6, the /64 that one household or machine has to itself."""
    if address is None:
        return "unknown"
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ip_network((int(ip), 64), strict=False))
    return str(ip)


def _address(text: str) -> str | None:
    """An address of the header, which may have a port or brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
