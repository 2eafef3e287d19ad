"""The spool's folder of one process, owned through a lock that the kernel gives back when the process is gone."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from spanflow.span_processors.spool.private_folder import make_private_folder

_SUFFIX: Final = ".seg"
_LOCK: Final = "owner.lock"


class SpoolFolder:
    """One process's segments, in the order of their numbers. Make it with `create` or `take_over`.

    Fork: a child inherits the lock's descriptor. `abandon` closes it there, which leaves the parent's lock as it is;
    to unlock it explicitly would take the lock from the parent.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, root: Path, instance_id: str) -> "SpoolFolder":
        """A new folder for this process. Raises `OSError` when the disk does not let us."""
        make_private_folder(root)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", instance_id)[:100] or "process"
        for attempt in range(1000):
            path = root / (f"{name}-{attempt}" if attempt else name)
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            _sync_folder(root)
            lock = _lock(path)
            # Another process may take over a folder that has no lock for this instant: leave it to that one.
            if lock is not None:
                return cls(path, lock)
        raise FileExistsError(f"a thousand folders named {name} stand in {root}")

    @classmethod
    def take_over(cls, path: Path) -> "SpoolFolder | None":
        """The folder of a dead process; None while that process lives or if another process took it first."""
        lock = _lock(path)
        return None if lock is None else cls(path, lock)

    def segments(self) -> list[Path]:
        """Oldest first."""
        return sorted(path for path in self.path.iterdir() if path.suffix == _SUFFIX)

    def new_segment(self) -> Path:
        """The name of the next segment: after every one that is there."""
        last = max((int(path.stem) for path in self.segments()), default=0)
        return self.path / f"{last + 1:012d}{_SUFFIX}"

    def settle(self) -> None:
        """Make the folder's list of files safe, after a segment was made."""
        _sync_folder(self.path)

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.segments())

    def is_empty(self) -> bool:
        """Whether it is known to hold no segment."""
        try:
            return not self.segments()
        except OSError:
            return False

    def remove(self) -> None:
        """Give up the empty folder. A process that tries its lock now sees that it is gone, or becomes its owner."""
        with suppress(OSError):
            (self.path / _LOCK).unlink(missing_ok=True)
            self.path.rmdir()
        self.abandon()

    def abandon(self) -> None:
        """Close the lock: in the owner this gives it back, in a forked child it does not."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def folders(root: Path) -> Iterator[Path]:
    """The folder of every process that has spooled and not yet been replayed, this one's included."""
    try:
        children = sorted(root.iterdir())
    except OSError:
        return  # not there; or out of reach, which `Spool.problem` tells
    yield from (path for path in children if path.is_dir())


def _lock(path: Path) -> int | None:
    lock_path = path / _LOCK
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None  # the folder went away while we looked at it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one who had it may have removed folder and lock file before we got the lock on what is no longer there.
        if os.stat(lock_path).st_ino == os.fstat(lock).st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
