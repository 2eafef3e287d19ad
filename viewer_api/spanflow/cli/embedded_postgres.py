"""A real PostgreSQL of our own, in the data directory."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from spanflow.cli import launcher
from spanflow.cli.account import Account
from spanflow.cli.child import Child, ChildError, never
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.server_program import ServerProgram, find_postgres

USER: Final = "spanflow"
DATABASE: Final = "spanflow"
_START_WITHIN: Final = 60.0  # recovery after a crash comes before the first answer
_SOCKET_PORT: Final = 5432

_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """Listens on a Unix socket in a private folder and nowhere else. The caller owns the data directory.

    `durable=False` is for throw-away data: it starts faster, and a crash of the machine may corrupt it.
    """

    def __init__(self, directory: DataDirectory, account: Account, *, durable: bool = True) -> None:
        self.data = directory.postgres
        self._directory = directory
        self._account = account
        self._durable = durable
        self._child: Child | None = None
        self._sockets = Path()

    @property
    def dsn(self) -> str:
        """What SPANFLOW_POSTGRES_DSN would be set to."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self._sockets))}&port={_SOCKET_PORT}"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError("the embedded PostgreSQL is not running")
        return self._child

    def start(self, interrupted: Callable[[], bool] = never) -> None:
        program = find_postgres(self.data)
        self._account.must_reach(self.data, advice="Set SPANFLOW_DATA_DIR to a folder such as /var/lib/spanflow.")
        self._sockets = self._directory.sockets(self._account)
        path = program.reachable_by(self._account, programs=self._directory.programs)
        self._make_cluster(program, path)
        child = Child(
            "postgres",
            [str(path), "-D", str(self.data), *self._options()],
            directory=self._directory.path,
            account=self._account,
            cwd=self.data,
            environ=_environment(),
            stop_signal=signal.SIGINT,  # "fast": ends sessions and writes a checkpoint
            kill_signal=signal.SIGQUIT,  # "immediate": recovers at the next start
        )
        child.end_orphan()
        self._forget_stale_locks()
        child.start()
        self._child = child
        try:
            child.wait_until(self._is_ready, _START_WITHIN, interrupted)
            asyncio.run(self._make_database())
        except BaseException:
            self.stop()
            raise

    def stop(self, within: float = 30.0, hurried: Callable[[], bool] = never) -> bool:
        """True when it stopped by itself, with everything on disk."""
        if self._child is None:
            return True
        child, self._child = self._child, None
        return child.stop(within, hurried)

    def _make_cluster(self, program: ServerProgram, path: Path) -> None:
        """Make the cluster beside its place and then move it there: one that was left half made is made again."""
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise ChildError(f"{self.data} holds files but no PostgreSQL cluster; move it away.")
        unfinished = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        self._directory.folder_for(self._account, unfinished)
        # Sorting and lower-casing that are the same on every machine, whatever its locale.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if program.version >= (17,) else []
        command = [
            *(str(path.with_name("initdb")), "--pgdata", str(unfinished), "--username", USER),
            # The folder of the socket decides who comes in.
            *("--auth-local=trust", "--auth-host=reject"),
            *("--encoding=UTF8", "--locale=C", *locale),
            *([] if self._durable else ["--no-sync"]),
        ]
        me = self._account.is_me
        made = subprocess.run(
            command,
            env=_environment(),
            cwd=unfinished,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # it is done in a moment; Ctrl-C is for us
            capture_output=True,
            text=True,
            check=False,
            user=None if me else self._account.uid,
            group=None if me else self._account.gid,
            extra_groups=None if me else [],
        )
        if made.returncode:
            raise ChildError(f"initdb failed (exit code {made.returncode}).\n{made.stdout}{made.stderr}")
        if self.data.exists():
            self.data.rmdir()
        unfinished.rename(self.data)

    def _options(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "port": str(_SOCKET_PORT),
            "unix_socket_directories": str(self._sockets).replace("'", "''"),
            "unix_socket_permissions": "0700",
            "logging_collector": "off",
            "log_destination": "stderr",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self._durable else _FAST),
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _is_ready(self) -> bool:
        """The last line of its lock file says so (as pg_ctl asks)."""
        lines = self._lock_file_lines()
        return len(lines) >= 8 and lines[0] == str(self.child.pid) and lines[7].startswith("ready")

    def _lock_file_lines(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except OSError:
            return []

    def _forget_stale_locks(self) -> None:
        """Remove lock files whose process is not a server in this folder.

        PostgreSQL only asks whether a process with that number exists. In a container that restarted, one often does.
        """
        lines = self._lock_file_lines()
        if lines and lines[0].isdigit() and self._may_work_here(int(lines[0])):
            return
        socket = self._sockets / f".s.PGSQL.{_SOCKET_PORT}"
        for left_over in (self.data / "postmaster.pid", socket, socket.with_name(f"{socket.name}.lock")):
            left_over.unlink(missing_ok=True)

    def _may_work_here(self, pid: int) -> bool:
        """Whether that process may be a server in this folder; then PostgreSQL itself refuses, with the reason."""
        if launcher.identity(pid) is None:
            return False
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")) == self.data.resolve()
        except OSError:
            return True

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self.dsn_of("postgres"), timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()


def _environment() -> dict[str, str]:
    """A person's PG* variables are meant for their own servers."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
