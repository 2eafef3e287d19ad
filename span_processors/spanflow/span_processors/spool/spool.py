"""Where finished flows wait on disk while Postgres cannot take them: bounded, checksummed, safe after `append`.

Every process appends to a folder of its own, `<data dir>/spool/<instance>/`, and is its only writer and reader. The
folder of a process that is gone is taken over by whichever process gets its lock. Nothing is opened before the first
append, so a process that never has to spool leaves no trace.

Sync: one `fdatasync` per appended batch, before `append` returns; the folder itself is synced when a segment is made.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from spanflow.span_processors.setting_table import MIB
from spanflow.span_processors.spool.spool_folder import SpoolFolder, folders
from spanflow.span_processors.spool.spool_segment import SegmentWriter, framed_size

SPOOL: Final = "spool"
ASIDE: Final = "spool-aside"


class SpoolFull(Exception):
    """The spool's own bound is reached, or the disk has less than the reserve left."""


class Spool:
    """The spool of one process. Used by the archive's thread only; `size` and `aside_size` may be read by any."""

    def __init__(
        self,
        data_dir: Path,
        instance_id: Callable[[], str],
        *,
        max_bytes: int = 1024 * MIB,
        segment_bytes: int = 16 * MIB,
        reserve_bytes: int = 256 * MIB,
        aside_bytes: int = 64 * MIB,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self.root = data_dir / SPOOL
        self._aside = data_dir / ASIDE
        self._instance_id = instance_id
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._aside_bytes = aside_bytes
        self._free_bytes = free_bytes or _free_bytes
        self._folder: SpoolFolder | None = None
        self._writer: SegmentWriter | None = None
        self._taken_over: list[SpoolFolder] = []
        #: Bytes that wait on disk in this process's folder and in those it has taken over.
        self.size = 0

    def append(self, payloads: Sequence[bytes]) -> None:
        """Put all of them on the disk, or none: `SpoolFull` at our bound, `OSError` when the disk refuses."""
        wanted = sum(map(framed_size, payloads))
        if self.size + wanted > self._max_bytes:
            raise SpoolFull(f"{self.size} of {self._max_bytes} bytes are waiting already")
        writer = self._open_writer()
        if self._free_bytes(self.root) - wanted < self._reserve_bytes:
            raise SpoolFull(f"less than {self._reserve_bytes} bytes are free on the disk")
        try:
            writer.append(payloads)
        except OSError:
            self._close_writer()  # what follows, if anything can, begins in a file that is known to be whole
            raise
        self.size += wanted
        if writer.size >= self._segment_bytes:
            self._close_writer()

    def take_over(self) -> int:
        """Become the owner of what processes that are gone left here; how many folders. Their bytes count as ours."""
        taken = 0
        own = self._folder.path if self._folder is not None else None
        held = {own, *(folder.path for folder in self._taken_over)}
        for path in folders(self.root):
            try:
                folder = None if path in held else SpoolFolder.take_over(path)
                if folder is not None:
                    self._taken_over.append(folder)
                    self.size += folder.size()
                    taken += 1
            except PermissionError:
                continue  # another user's, whose processes see to it
        return taken

    def next_segment(self) -> Path | None:
        """The segment to replay next: what others left first, then our own; the one being written is closed."""
        while self._taken_over:
            folder = self._taken_over[0]
            if segments := folder.segments():
                return segments[0]
            folder.remove()
            self._taken_over.pop(0)
        self._close_writer()
        return next(iter(self._folder.segments()), None) if self._folder is not None else None

    def replayed(self, segment: Path) -> None:
        """Everything in this segment is in Postgres."""
        size = segment.stat().st_size
        segment.unlink()
        self.size -= size

    def set_aside(self, name: str, raw: bytes) -> bool:
        """Keep bytes that nothing can be done with, for a person to look at; False when there is no room for them."""
        try:
            self._aside.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        self._close_writer()
        for folder in self._forget_folders():
            if folder.segments():
                folder.abandon()
            else:
                folder.remove()

    def after_fork(self) -> None:
        """In the child: the files are the parent's. Close our copies of them and begin with a folder of our own."""
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
            self._writer.close()
            if not self._writer.size:
                self._writer.path.unlink()
            self._writer = None


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
