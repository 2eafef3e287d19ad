"""A real redis-server (or valkey-server) of our own, in the data directory."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from spanflow.cli.account import Account
from spanflow.cli.child import Child, ChildError, never
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.server_program import find_redis

_START_WITHIN = 30.0  # a large append-only file is read before the first answer


class EmbeddedRedis:
    """Listens on a Unix socket in a private folder and nowhere else. The caller owns the data directory.

    It keeps an append-only file, flushed every second; `durable=False` keeps nothing.
    """

    def __init__(self, directory: DataDirectory, account: Account, *, durable: bool = True) -> None:
        self.data = directory.redis
        self._directory = directory
        self._account = account
        self._durable = durable
        self._child: Child | None = None
        self._socket = Path()

    @property
    def url(self) -> str:
        """What SPANFLOW_REDIS_URL would be set to."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError("the embedded Redis is not running")
        return self._child

    def start(self, interrupted: Callable[[], bool] = never) -> None:
        program = find_redis()
        self._account.must_reach(self.data, advice="Set SPANFLOW_DATA_DIR to a folder such as /var/lib/spanflow.")
        self._directory.folder_for(self._account, self.data)
        self._socket = self._directory.sockets(self._account) / "redis.sock"
        configuration = self._directory.path / "redis.conf"
        configuration.write_text(self._configuration())
        configuration.chmod(0o644)  # whatever our umask: the servers' account reads it
        path = program.reachable_by(self._account, programs=self._directory.programs)
        child = Child(
            "redis",
            [str(path), str(configuration)],
            directory=self._directory.path,
            account=self._account,
            cwd=self.data,
            stop_signal=signal.SIGTERM,
        )
        child.start()
        self._child = child
        try:
            child.wait_until(self._answers, _START_WITHIN, interrupted)
        except BaseException:
            self.stop()
            raise

    def stop(self, within: float = 20.0, hurried: Callable[[], bool] = never) -> bool:
        """True when it stopped by itself, which includes writing everything down."""
        if self._child is None:
            return True
        child, self._child = self._child, None
        by_itself = child.stop(within, hurried)
        self._socket.unlink(missing_ok=True)
        return by_itself

    def _configuration(self) -> str:
        lines = [
            f"dir {_quoted(self.data)}",
            f"unixsocket {_quoted(self._socket)}",
            "unixsocketperm 700",
            "port 0",
            "daemonize no",
            "databases 16",
            # Streams that live for a day: losing the last second in a crash is fine, losing all is not.
            f"appendonly {'yes' if self._durable else 'no'}",
            "appendfsync everysec",
            'save ""',
            # Refuse writes rather than evict: an evicted stream would vanish in the middle of a flow.
            "maxmemory-policy noeviction",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        """Whether it serves commands: it answers `-LOADING` while it reads its file."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(256).startswith(b"+PONG")
        except OSError:
            return False


def _quoted(path: Path) -> str:
    text = str(path)
    if any(character in text for character in '"\\\n'):
        raise ChildError(f"Redis cannot work in a folder with such a name: {text!r}")
    return f'"{text}"'
