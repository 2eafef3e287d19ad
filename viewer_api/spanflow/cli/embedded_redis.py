"""A real redis-server (or valkey-server) of our own, in the data directory."""

import secrets
import signal
import socket
from pathlib import Path

from spanflow.cli.account import Account
from spanflow.cli.child import Child, ChildError
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.free_port import LOOPBACK, free_port
from spanflow.cli.server_program import find_redis

_START_WITHIN = 30.0  # a large append-only file is read before the first answer


class EmbeddedRedis:
    """Listens on a Unix socket in a private folder; with `tcp` on a loopback port as well, behind a password.

    The caller owns the data directory. `durable` keeps an append-only file, flushed every second.
    """

    def __init__(
        self,
        directory: DataDirectory,
        account: Account,
        *,
        durable: bool = True,
        tcp: bool = False,
        name: str = "redis",
    ) -> None:
        self._directory = directory
        self._account = account
        self._durable = durable
        self._tcp = tcp
        self._name = name
        self._password = secrets.token_urlsafe(24) if tcp else ""
        self._child: Child | None = None
        self.socket_path = Path()
        self.port = 0

    @property
    def url(self) -> str:
        """What SPANFLOW_REDIS_URL would be set to."""
        if self._tcp:
            return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"
        return f"unix://{self.socket_path}"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError("the embedded Redis is not running")
        return self._child

    def start(self) -> None:
        data = self._directory.path / self._name
        program = find_redis()
        self._account.must_reach(data, advice="Set SPANFLOW_DATA_DIR to a folder such as /var/lib/spanflow.")
        self._directory.folder_for(self._account, data)
        self.socket_path = self._directory.sockets(self._account) / f"{self._name}.sock"
        self.port = free_port() if self._tcp else 0
        configuration = data / "redis.conf"
        configuration.unlink(missing_ok=True)
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration(data))
        self._account.own(configuration)
        path = program.reachable_by(self._account, programs=self._directory.programs)
        child = Child(
            self._name,
            [str(path), str(configuration)],
            directory=self._directory.path,
            account=self._account,
            cwd=data,
            stop_signal=signal.SIGTERM,
        )
        child.start()
        self._child = child
        try:
            child.wait_until(self._answers, _START_WITHIN)
        except BaseException:
            self.stop()
            raise

    def stop(self, within: float = 20.0) -> bool:
        """True when it stopped by itself, which includes writing everything down."""
        if self._child is None:
            return True
        child, self._child = self._child, None
        by_itself = child.stop(within)
        self.socket_path.unlink(missing_ok=True)
        return by_itself

    def crash(self) -> None:
        """End it without a goodbye, as a power cut would. For drills and tests of what survives."""
        self.child.kill()
        self._child = None

    def _configuration(self, data: Path) -> str:
        lines = [
            f"dir {_quoted(data)}",
            f"unixsocket {_quoted(self.socket_path)}",
            "unixsocketperm 700",
            f"port {self.port}",
            f"bind {LOOPBACK}",
            "daemonize no",
            "databases 16",
            # Streams that live for a day: losing the last second in a crash is fine, losing all is not.
            f"appendonly {'yes' if self._durable else 'no'}",
            "appendfsync everysec",
            'save ""',
            # Refuse writes rather than evict: an evicted stream would vanish in the middle of a flow.
            "maxmemory-policy noeviction",
        ]
        if self._password:
            lines.append(f"requirepass {self._password}")
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        """Whether it serves commands: it answers `-LOADING` while it reads its file."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self.socket_path))
                login = f"AUTH {self._password}\r\n" if self._password else ""
                connection.sendall(f"{login}PING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and (more := connection.recv(256)):
                    answer += more
                    if b"LOADING" in answer:
                        return False
                return b"PONG" in answer
        except OSError:
            return False


def _quoted(path: Path) -> str:
    text = str(path)
    if any(character in text for character in '"\\\n'):
        raise ChildError(f"Redis cannot work in a folder with such a name: {text!r}")
    return f'"{text}"'
