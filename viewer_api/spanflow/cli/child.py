"""A process that we start: alone in its group, bound to our life, and recorded so that a later start can end it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from spanflow.cli import launcher
from spanflow.cli.account import Account
from spanflow.cli.problem import Problem

_POLL = 0.01
#: Where the kernel tells a process that its parent died, it is ending already. A second SIGTERM would interrupt what it
#: still has to save, so it first gets time (0 signals nothing).
TOLD_ALREADY = (0, signal.SIGTERM)


class ChildError(Problem):
    """A process of ours did not start, or did not stay; the message shows the end of its log."""


class Interrupted(Problem):
    """A stop was requested while we waited."""


def never() -> bool:
    return False


class Child:
    """One process. `directory` is the data directory it belongs to: the proof of ownership that its record carries.

    `keep_open` are file descriptors that it inherits under their numbers.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        account: Account,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        kill_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = directory / "logs" / f"{name}.log"
        self._directory = directory
        self._record = directory / "records" / f"{name}.json"
        self._account = account
        self._cwd = cwd
        self._environ = environ
        self._keep_open = keep_open
        self._stop_signal = stop_signal
        self._kill_signal = kill_signal
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it after ending what an owner that was killed may have left behind."""
        if threading.current_thread() is not threading.main_thread():
            # The kernel's parent-death signal is tied to the parent's thread.
            raise RuntimeError(f"start {self.name} from the main thread: it ends with the thread that started it")
        self.end_orphan()
        with self._open_log() as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", launcher.__file__),
                    *(str(self._record), owner_of(self._directory), str(os.getpid()), str(int(self._stop_signal))),
                    *(str(self._account.uid), str(self._account.gid)),
                    *self.command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=None if self._environ is None else dict(self._environ),
                pass_fds=self._keep_open,
                # Ctrl-C reaches every process of the terminal's group at once; ours are stopped in order instead.
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs (and before it was started)."""
        return None if self._process is None else self._process.poll()

    def wait_until(self, ready: Callable[[], bool], within: float, interrupted: Callable[[], bool] = never) -> None:
        """Wait for `ready`; raise with the end of the log when the process ends first or takes too long."""
        deadline = time.monotonic() + within
        while not ready():
            if interrupted():
                raise Interrupted("interrupted")
            if (code := self.exit_code()) is not None:
                raise ChildError(f"{self.name} ended while starting (exit code {code}).\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} was not ready after {within:g} s.\n{self.log_tail()}")
            time.sleep(_POLL)

    def stop(self, within: float = 20.0, hurried: Callable[[], bool] = never) -> bool:
        """Ask it to end, insist after `within` seconds; True when it ended by itself. Its whole group goes with it."""
        if self._process is None:
            return True
        _signal_group(self._process.pid, self._stop_signal)
        deadline = time.monotonic() + within
        while self._process.poll() is None and time.monotonic() < deadline and not hurried():
            time.sleep(_POLL)
        by_itself = self._process.poll() is not None
        if not by_itself:
            _signal_group(self._process.pid, self._kill_signal)
            self._process.wait()
        _signal_group(self._process.pid, signal.SIGKILL)  # grandchildren that did not listen
        self._record.unlink(missing_ok=True)
        self._process = None
        return by_itself

    def end_orphan(self, within: float = 20.0) -> bool:
        """End the process of an earlier owner, if the record proves that it is ours; True when there was one."""
        return end_recorded(self._record, self._directory, (self._stop_signal, self._kill_signal), within)

    def log_tail(self, lines: int = 12) -> str:
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return f"(no log at {self.log})"
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) + f"\n  ({self.log})"

    def _open_log(self) -> BinaryIO:
        """A fresh log; the one before it is kept, because it tells how the last run ended."""
        for folder in (self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")


def owner_of(directory: Path) -> str:
    """The folder itself, not its name: a copy of a data directory does not own the original's processes."""
    status = directory.stat()
    return f"{status.st_dev}:{status.st_ino}"


def recorded_pid(record: Path, directory: Path) -> int | None:
    """The process of a record that is alive, is still the same process, and belongs to `directory`."""
    try:
        content = json.loads(record.read_text())
        pid, known, owner = int(content["pid"]), content["identity"], content["owner"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if owner != owner_of(directory) or known is None or launcher.identity(pid) != known:
        return None
    return pid


def end_recorded(
    record: Path,
    directory: Path,
    signals: Sequence[int] = TOLD_ALREADY if sys.platform == "linux" else (signal.SIGTERM,),
    within: float = 10.0,
) -> bool:
    """End the process that a record proves to be of `directory`, and forget the record; True when there was one."""
    pid = recorded_pid(record, directory)
    if pid is not None:
        identity = launcher.identity(pid)
        for word, patience in zip((*signals, signal.SIGKILL), (within, 5.0, 5.0), strict=False):
            _signal_group(pid, word)
            if _gone(pid, identity, patience):
                break
        else:
            raise ChildError(f"{record.stem} (process {pid}) was left by an earlier start and cannot be ended.")
        _signal_group(pid, signal.SIGKILL)
    record.unlink(missing_ok=True)
    return pid is not None


def _signal_group(pid: int, word: int) -> None:
    try:
        os.killpg(pid, word)
    except (ProcessLookupError, PermissionError):
        return


def _gone(pid: int, known: str | None, within: float) -> bool:
    deadline = time.monotonic() + within
    while launcher.identity(pid) == known:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
