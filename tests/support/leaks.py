"""What a test leaves behind: threads, open files and sockets, child processes."""

import gc
import multiprocessing.resource_tracker
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.poll import eventually


@dataclass(frozen=True)
class Held:
    """What this process holds at one moment. Files and children are only known where there is a /proc."""

    threads: frozenset[tuple[int | None, str]]
    files: frozenset[tuple[str, str]]
    children: frozenset[tuple[int, str]]

    @classmethod
    def now(cls) -> Self:
        return cls(
            threads=frozenset((thread.ident, thread.name) for thread in threading.enumerate()),
            files=frozenset(_files()),
            children=frozenset(_children()),
        )

    def beyond(self, before: "Held") -> str:
        """A line per thing that was not there before; empty when there is none."""
        lines = [f"thread «{name}»" for _, name in sorted(self.threads - before.threads, key=str)]
        lines += [f"file descriptor {number} → {target}" for number, target in sorted(self.files - before.files)]
        # By pid alone: a server changes its command line once it is up.
        known = {pid for pid, _ in before.children}
        lines += [f"child process {pid}: {command}" for pid, command in sorted(self.children) if pid not in known]
        return "\n".join(lines)


def wait_until_gone(before: Held, within: float = 3.0) -> str:
    """What is still held beyond `before`, after time to finish and a garbage collection. Empty is good."""
    leaked = Held.now().beyond(before)
    if not leaked:
        return ""
    gc.collect()
    try:
        eventually(lambda: not Held.now().beyond(before), within=within)
    except AssertionError:
        return Held.now().beyond(before)
    return ""


def _files() -> Iterator[tuple[str, str]]:
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if not target.startswith(("/dev/", "/proc/")):
            yield number, target


def _children() -> Iterator[tuple[int, str]]:
    # Python's own helper process of multiprocessing: started once, ends with the run.
    helper = getattr(multiprocessing.resource_tracker, "_resource_tracker")._pid  # noqa: B009
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        for pid in pids:
            if pid == helper:
                continue
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield pid, command.strip() or "(ended, but nobody waited for it)"
