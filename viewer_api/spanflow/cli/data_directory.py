"""The data directory: its layout, and the lock that lets one owner at a time work in it."""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from spanflow.cli import launcher
from spanflow.cli.account import Account
from spanflow.cli.child import owner_of
from spanflow.cli.problem import Problem
from spanflow.span_processors.spool.private_folder import make_private_folder

#: A Unix socket's path may have 107 bytes (103 on macOS); the servers append names of up to 20 to the folder's.
_LONGEST_SOCKET_FOLDER = 80
#: Holds the token of the running viewer: only its user may read it.
_VIEWER = "viewer.json"
#: Likewise the token that the viewer of `spanflow up` has at every start.
_TOKEN = "viewer-token"
_SHORTEST_TOKEN = 32


class DataDirectoryInUse(Problem):
    """Another process owns the data directory; the message says which."""


@dataclass(frozen=True, slots=True)
class Ownership:
    #: Offer these settings to other commands of the same machine, as long as the ownership lasts.
    publish: Callable[[Mapping[str, str]], None]


class DataDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def programs(self) -> Path:
        return self.path / "programs"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def create(self) -> None:
        """Make it. Root's is open to enter, because the servers' own user works in folders of its own inside it."""
        make_private_folder(self.path, 0o755 if os.geteuid() == 0 else 0o700)

    def folder_for(self, account: Account, path: Path) -> Path:
        """A folder inside that only `account` may enter."""
        path.mkdir(mode=0o700, exist_ok=True)
        account.own(path)
        return path

    def sockets(self, account: Account) -> Path:
        """A private folder whose name is short enough for Unix sockets."""
        folder = self.path / "run"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return self.folder_for(account, folder)
        mark = sha256(owner_of(self.path).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()).resolve() / f"spanflow-{account.uid}-{mark}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        # The directory is world-writable, so another user may have been first.
        if not S_ISDIR(status.st_mode) or status.st_uid not in {account.uid, os.geteuid()} or status.st_mode & 0o077:
            raise PermissionError(f"{folder} is not a private folder of the user {account.name!r}; remove it.")
        account.own(folder)
        return folder

    @contextmanager
    def owned(self, purpose: str) -> Iterator["Ownership"]:
        """Own it for the block. The kernel gives the lock back whatever happens to us, so no lock is ever stale."""
        self.create()
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataDirectoryInUse(self._in_use(os.pread(descriptor, 4096, 0))) from None
            self._write(descriptor, purpose, {})
            yield Ownership(lambda environ: self._write(descriptor, purpose, environ))
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def is_owned(self) -> bool:
        """Whether its owner, such as a `spanflow up`, is running."""
        return self._owner() is not None

    def published(self) -> dict[str, str]:
        """The settings that the present owner offers to other commands; empty without an owner."""
        owner = self._owner()
        return {} if owner is None else {str(name): str(value) for name, value in owner["environ"].items()}

    def _owner(self) -> dict[str, Any] | None:
        """What the present owner has written of itself; None without an owner."""
        try:
            owner = json.loads((self.path / "lock").read_bytes())
            if owner["identity"] is None or launcher.identity(owner["pid"]) != owner["identity"]:
                return None
            return owner if isinstance(owner["environ"], dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def viewer_offered(self, url: str, token: str) -> Iterator[None]:
        """Let commands of this user find the viewer, and sign in, for the block."""
        path = self.path / _VIEWER
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"url": url, "token": token}, file)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def kept_token(self) -> str:
        """The viewer's access token of this data directory, made at the first start."""
        self.create()
        path = self.path / _TOKEN
        try:
            token = path.read_text(encoding="ascii").strip()
            if len(token) >= _SHORTEST_TOKEN:
                return token
        except (OSError, UnicodeDecodeError):
            pass
        token = secrets.token_urlsafe(32)
        # A name of its own until it is complete: a start at the same moment must not read half of it.
        descriptor, partial = tempfile.mkstemp(prefix=f".{_TOKEN}-", dir=self.path)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        os.replace(partial, path)
        return token

    def viewer(self) -> tuple[str, str] | None:
        """Address and token of the viewer that the present owner runs; None when there is none, or it is not for us."""
        if self._owner() is None:
            return None
        try:
            offered = json.loads((self.path / _VIEWER).read_bytes())
            return str(offered["url"]), str(offered["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, descriptor: int, purpose: str, environ: Mapping[str, str]) -> None:
        content = {
            "pid": os.getpid(),
            "identity": launcher.identity(os.getpid()),
            "purpose": purpose,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "environ": dict(environ),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(content).encode(), 0)

    def _in_use(self, content: bytes) -> str:
        try:
            owner = json.loads(content)
            who = f"process {owner['pid']} ({owner['purpose']}, since {owner['since']})"
            end = f"End that one first (kill {owner['pid']})"
        except (ValueError, KeyError, TypeError):
            who, end = "another process", "End that one first"
        return f"The data directory {self.path} is in use by {who}. {end}, or set SPANFLOW_DATA_DIR to another folder."
