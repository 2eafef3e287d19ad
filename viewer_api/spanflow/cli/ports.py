"""Ports of the loopback address."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def accepts(host: str, port: int) -> bool:
    """Whether a server listens there."""
    try:
        with socket.create_connection((LOOPBACK if host in {"0.0.0.0", ""} else host, port), timeout=1.0):
            return True
    except OSError:
        return False
