"""Connections to public addresses only: what an operator names as a receiver must not reach into our own network.

The address is checked where the connection is made, after the name was resolved, and the connection goes to that very
address: a name that resolves to something else a moment later changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import httpcore

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Prefixes of IPv6 addresses that stand for IPv4 addresses: NAT64, and the last 32 bits are the address.
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class AddressRefused(Exception):
    """The receiver's address is not public, and not among those that the settings allow."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """A network in which only public addresses, and those of `allowed`, can be reached."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        problem: Exception = AddressRefused("the name has no address")
        async with asyncio.timeout(timeout):
            for address in await self._addresses(host, port):
                try:
                    return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
                except httpcore.ConnectError as why:
                    problem = why
        raise problem

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("a socket of this machine is no receiver")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        """All addresses of a host; when one of them may not be reached, none may."""
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as why:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {why.strerror or why}") from why
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in answers))
        for address in addresses:
            if not may_be_reached(address, self._allowed):
                raise AddressRefused(f"{address} is not public; SPANFLOW_ALERT_NETWORKS allows others")
        return addresses


def may_be_reached(address: Address, allowed: Iterable[Network] = ()) -> bool:
    meant = _meant_by(address)
    if any(each.version == network.version and each in network for each in {address, meant} for network in allowed):
        return True
    return meant.is_global and not meant.is_multicast and not address.is_multicast


def _meant_by(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, by whatever translation."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if any(address in network for network in _NAT64) or int(address) >> 32 == 0:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def networks(raw: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as the settings have them."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in raw)
