"""Measurements in processes of their own: none inherits another's heap, and one that fails says why."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import orjson


class ChildFailed(Exception):
    """A measurement that ended badly. What it said itself has gone to our own stderr."""


def run(module: str, *arguments: str, timeout: float = 120.0) -> Any:
    """Run a module, and return the JSON that it prints. Whatever it has started itself ends with it."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            printed, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{shown(command)}: not ready after {timeout:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode:
        raise ChildFailed(f"{shown(command)}: ended with {ending(child.returncode)}")
    try:
        return orjson.loads(printed)
    except ValueError:
        raise ChildFailed(f"{shown(command)}: printed no JSON but {printed[:200]!r}") from None


def run_job(module: str, job: dict[str, Any], timeout: float = 120.0) -> Any:
    """Run a module with one JSON object as its argument."""
    return run(module, orjson.dumps(job).decode(), timeout=timeout)


def ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def shown(command: list[str]) -> str:
    """Without the addresses of the servers."""
    return " ".join(command[2:])[:100]
