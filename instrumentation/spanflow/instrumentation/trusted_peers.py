"""Who is believed: the peer at the other end of the connection, judged by its address and by nothing it says."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

UNIX: Final = "unix"
FORWARDED: Final = "forwarded"
_ADDRESS_LENGTH: Final = 64


class TrustedPeers:
    """A set of networks and of the two kinds of peers that have no address of their own."""

    def __init__(self, words: Iterable[str]) -> None:
        chosen = frozenset(words)
        self._unix = UNIX in chosen
        self._forwarded = FORWARDED in chosen
        self._networks = tuple(ip_network(word, strict=False) for word in chosen - {UNIX, FORWARDED})
        self._within = lru_cache(maxsize=1024)(self._look_up)

    def includes(self, scope: Mapping[str, Any]) -> bool:
        """Whether the peer of this ASGI connection is one of them."""
        client = scope.get("client")
        if not client or not client[0]:
            return self._unix  # a server that listens on a Unix socket has no address to give
        host, port = client
        if port == 0:
            # No TCP peer has port 0. uvicorn writes it when it has replaced the address by what a proxy that *it*
            # trusts has said in X-Forwarded-For.
            return self._forwarded
        return len(host) <= _ADDRESS_LENGTH and self._within(host)

    def _look_up(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address.version == network.version and address in network for network in self._networks)
