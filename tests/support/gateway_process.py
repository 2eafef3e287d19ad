"""A gateway as it is really started: processes of their own, with what they said in a file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).resolve().parents[2]
#: The stacks of all threads at SIGSEGV (gunicorn has a use of its own for SIGABRT).
SAYS_WHERE = {"PYTHONFAULTHANDLER": "1"}


@dataclass(frozen=True)
class GatewayProcess:
    """A gateway that answers."""

    url: str
    log: Path
    pid: int

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def gateway_process(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    python_path: Sequence[Path] = (),
    programs: Path = BIN,
    within: float = 30,
) -> Iterator[GatewayProcess]:
    """Start `command` («{port}» in it is filled in), wait until it listens; at the end stop it and all its children."""
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in command]
    path = os.pathsep.join(map(str, (*python_path, CHECKOUT)))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs / words[0]), *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=CHECKOUT,
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": path,
                "HOME": "/nonexistent",
                **SAYS_WHERE,
                **environment,
            },
        )
    try:
        eventually(lambda: accepts(port) or process.poll() is not None, within=within)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield GatewayProcess(f"http://127.0.0.1:{port}", log, process.pid)
        process.terminate()
        _wait(process, log)
    finally:
        _end_group(process)


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it has ended by itself. If it does not, every process of it says where it stands."""
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGSEGV)
        process.wait(10)
        raise AssertionError(f"the gateway did not stop:\n{log.read_text(encoding='utf-8')}") from None


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Whatever is left of its session, reloaders and workers included."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(10)
