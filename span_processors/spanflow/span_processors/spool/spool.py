"""Where finished flows wait on disk while Postgres cannot take them: bounded, checksummed, safe after `append`.

Every process appends to a folder of its own, `<data dir>/spool/<instance>/`, and is its only writer and reader. The
folder of a process that is gone is taken over by whichever process gets its lock. Nothing is opened before the first
append, so a process that never has to spool leaves no trace.

Sync: one `fdatasync` per appended batch, before `append` returns; the folder itself is synced when a segment is made.
"""

import os
import threading
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanflow.span_processors.setting_table import MIB
from spanflow.span_processors.spool.private_folder import make_private_folder
from spanflow.span_processors.spool.spool_folder import SpoolFolder, folders
from spanflow.span_processors.spool.spool_segment import SegmentWriter, framed_size

SPOOL: Final = "spool"
ASIDE: Final = "spool-aside"


#: On a small disk the reserve is this part of it, so that a spool is possible there at all.
_LARGEST_RESERVE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Disk:
    """What the file system of the spool has."""

    free: int
    total: int
    read_only: bool = False


class Unreadable(Exception):
    """A segment, or a whole folder, cannot be read now. The others can."""

    def __init__(self, path: Path, why: OSError) -> None:
        super().__init__(f"{path}: {why.strerror or why}")
        self.path = path


class Spool:
    """The spool of one process. `append` and what only reads is for any thread, the rest for the archive's own.

    Fork: the lock is recreated in the child, because another thread may have held it.
    """

    def __init__(
        self,
        data_dir: Path,
        instance_id: Callable[[], str],
        *,
        max_bytes: int = 1024 * MIB,
        segment_bytes: int = 16 * MIB,
        reserve_bytes: int = 256 * MIB,
        aside_bytes: int = 64 * MIB,
        disk: Callable[[Path], Disk] | None = None,
    ) -> None:
        self.root = data_dir / SPOOL
        self._aside = data_dir / ASIDE
        self._instance_id = instance_id
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._aside_bytes = aside_bytes
        self._disk = disk or _disk
        self._lock = threading.Lock()
        self._folder: SpoolFolder | None = None
        self._writer: SegmentWriter | None = None
        self._taken_over: list[SpoolFolder] = []
        #: Bytes that wait on disk in this process's folder and in those it has taken over.
        self.size = 0
        #: Records appended so far.
        self.appended = 0

    def append(self, payloads: Sequence[bytes]) -> int:
        """Put as many of them on the disk, from the first on, as there is room for, and tell how many those are.

        `OSError` when the disk refuses; then none of them is there.
        """
        with self._lock:
            room = self._room()
            number = wanted = 0
            for payload in payloads:
                if wanted + framed_size(payload) > room:
                    break
                number += 1
                wanted += framed_size(payload)
            if number:
                self._write(payloads[:number], wanted)
            return number

    def _write(self, payloads: Sequence[bytes], size: int) -> None:
        writer = self._open_writer()
        try:
            writer.append(payloads)
        except OSError:
            self._close_writer()  # what follows, if anything can, begins in a file that is known to be whole
            raise
        self.size += size
        self.appended += len(payloads)
        if writer.size >= self._segment_bytes:
            self._close_writer()

    def _room(self) -> int:
        disk = self._disk(self._existing())
        return min(self._max_bytes - self.size, disk.free - self._reserve(disk))

    def _reserve(self, disk: Disk) -> int:
        return min(self._reserve_bytes, int(disk.total * _LARGEST_RESERVE))

    def _existing(self) -> Path:
        """The spool's folder, or the nearest above it that is there."""
        return next((path for path in (self.root, *self.root.parents) if path.exists()), self.root)

    def shortage(self) -> str:
        """Why there is no room."""
        try:
            disk = self._disk(self._existing())
        except OSError as why:
            return str(why)
        if disk.free <= self._reserve(disk):
            return f"{disk.free} bytes are free on the disk, of which {self._reserve(disk)} are left to others"
        return f"{self.size} of {self._max_bytes} bytes are waiting already"

    def problem(self) -> str:
        """Why nothing could be appended now; empty when something could. Writes nothing."""
        here = self._existing()
        try:
            disk = self._disk(here)
            if disk.read_only:
                return f"{here} is on a read-only file system"
            if not here.is_dir():
                return f"{here} is not a directory"
            if not os.access(here, os.W_OK | os.X_OK):
                return f"{here} is not writable for this user"
            return self.shortage() if self._room() <= 0 else ""
        except OSError as why:
            return f"{here}: {why.strerror or why}"

    def take_over(self) -> int:
        """Become the owner of what processes that are gone left here; how many folders. Their bytes count as ours."""
        taken = 0
        own = self._folder.path if self._folder is not None else None
        held = {own, *(folder.path for folder in self._taken_over)}
        for path in folders(self.root):
            try:
                folder = None if path in held else SpoolFolder.take_over(path)
            except OSError:
                continue  # another user's, whose processes see to it; or out of reach just now
            if folder is None:
                continue
            try:
                size = folder.size()
            except OSError:
                folder.abandon()
                continue
            self._taken_over.append(folder)
            with self._lock:
                self.size += size
            taken += 1
        return taken

    def next_segment(self, skip: Container[Path] = ()) -> Path | None:
        """The segment to replay next: what others left first, then our own; the one being written is closed.

        Folders and segments in `skip` are left out. Raises `Unreadable` for a folder that cannot be listed.
        """
        for folder in tuple(self._taken_over):
            segments = self._segments(folder, skip)
            if segments is None:
                continue
            for segment in segments:
                if segment not in skip:
                    return segment
            if not segments:
                folder.remove()
                self._taken_over.remove(folder)
        with self._lock:
            self._close_writer()
            # Listed before another thread can open the next one: what is being written is not replayed.
            own = (self._segments(self._folder, skip) or ()) if self._folder is not None else ()
        return next((segment for segment in own if segment not in skip), None)

    def _segments(self, folder: SpoolFolder, skip: Container[Path]) -> list[Path] | None:
        if folder.path in skip:
            return None
        try:
            return folder.segments()
        except OSError as why:
            raise Unreadable(folder.path, why) from why

    def replayed(self, segment: Path) -> None:
        """Everything in this segment is in Postgres."""
        size = segment.stat().st_size
        segment.unlink()
        with self._lock:
            self.size -= size

    def set_aside(self, name: str, raw: bytes) -> bool:
        """Keep bytes that nothing can be done with, for a person to look at; False when there is no room for them."""
        try:
            make_private_folder(self._aside)
            used = sum(path.stat().st_size for path in self._aside.iterdir())
            if used + len(raw) > self._aside_bytes:
                return False
            with open(os.open(self._aside / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let others take over what still waits; folders that are empty go."""
        with self._lock:
            self._close_writer()
            held = self._forget_folders()
        for folder in held:
            # Removes what is empty; whatever else stands in it, or keeps us from looking, is the next owner's.
            folder.remove() if folder.is_empty() else folder.abandon()

    def after_fork(self) -> None:
        """In the child: the files are the parent's. Close our copies of them and begin with a folder of our own."""
        self._lock = threading.Lock()
        self.appended = 0
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for folder in self._forget_folders():
            folder.abandon()

    def _forget_folders(self) -> list[SpoolFolder]:
        held = [*self._taken_over, *([self._folder] if self._folder is not None else [])]
        self._taken_over, self._folder, self.size = [], None, 0
        return held

    def _open_writer(self) -> SegmentWriter:
        if self._folder is None:
            self._folder = SpoolFolder.create(self.root, self._instance_id())
        if self._writer is None:
            self._writer = SegmentWriter(self._folder.new_segment())
            self._folder.settle()
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            if not writer.size:
                with suppress(OSError):
                    writer.path.unlink()


def _disk(path: Path) -> Disk:
    stats = os.statvfs(path)
    return Disk(stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize, bool(stats.f_flag & os.ST_RDONLY))
