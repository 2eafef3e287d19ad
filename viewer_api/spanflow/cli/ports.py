"""Ports of this machine."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A free port. The system hands them out in turns, so it stays free for a while."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens already: from here on the port is reserved, even against concurrent starts."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
