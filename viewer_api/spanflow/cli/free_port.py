"""A loopback port that nobody uses."""

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Free when asked: somebody else may take it before the caller does, and then the caller's start fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
