"""Run `spanflow` as a person does, in a process of its own."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "spanflow.cli.main"]
WITHIN = 120.0


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **settings}


def spanflow(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return spanflow_given((), *arguments, **settings)


def spanflow_given(pass_fds: Sequence[int], /, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same with these file descriptors of ours."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
        pass_fds=pass_fds,
    )


class Running:
    """A command that goes on until it is stopped, and what it says meanwhile."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.said = ""

    def wait_for(self, text: str, within: float = 60.0) -> str:
        """Read on until it says `text`; everything it has said so far."""
        deadline = time.monotonic() + within
        assert self.process.stdout is not None
        while text not in self.said:
            left = deadline - time.monotonic()
            readable, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            chunk = os.read(self.process.stdout.fileno(), 65_536) if readable else b""
            if not chunk:
                raise AssertionError(f"it never said {text!r}, only:\n{self.said}")
            self.said += chunk.decode()
        return self.said

    def end(self, signal: int, within: float = 60.0) -> int:
        """Send a signal and read to the end; the exit code."""
        self.process.send_signal(signal)
        rest, _ = self.process.communicate(timeout=within)
        self.said += rest.decode()
        return self.process.returncode


@contextmanager
def running(
    *arguments: str,
    settings: Mapping[str, str],
    command: Sequence[str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Running]:
    """Start it; what is still running at the end of the block is killed."""
    process = subprocess.Popen(
        [*(command or COMMAND), *arguments],
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


def processes_of(data: Path) -> list[str]:
    """The command lines of everything that works in or for a data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environ = (entry / "environ").read_bytes().decode(errors="replace")
            folder = os.readlink(entry / "cwd")
        except OSError:
            continue
        here = str(data)
        if here in command or f"SPANFLOW_DATA_DIR={here}" in environ.split("\0") or folder.startswith(here):
            found.append(command)
    return found
