"""Free ports on the loopback address."""

import socket


def free_port() -> int:
    """A port that was free a moment ago. Who binds it must be ready to ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Does something listen there?"""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def quick_listener(port: int) -> socket.socket:
    """Listens there, or on a free port for 0. asyncio sends small pieces of an answer at once only where it is told
    that this is TCP; otherwise an answer in two pieces takes 40 ms."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(2048)
    return listener
