"""Which Python runs a program, and whether Spanflow can trace what runs in it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")
#: What pip and uv write where the interpreter's path is too long for a kernel.
_LONG = re.compile(rb"'''exec' ['\"]?([^'\"\n]+?)['\"]? ")
#: Options with which Python reads neither PYTHONPATH nor sitecustomize.
_ISOLATED = re.compile(r"-[a-zA-Z]*[IES]")
#: Options that are followed by a value of their own.
_WITH_VALUE = ("-W", "-X")
_INSTALLED = (
    "import importlib.util as u, sys; "
    "sys.exit(0 if all(u.find_spec(name.split('.')[0]) and u.find_spec(name) for name in sys.argv[1:]) else 3)"
)
_NEEDED = ("spanflow.instrumentation", "opentelemetry.instrumentation.auto_instrumentation")
_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class PythonProgram:
    """A command as it would be started."""

    #: The interpreter; None where the program is not one of Python's.
    interpreter: Path | None
    #: Why what runs in it cannot be traced, and what to do about it; empty where it can be.
    problem: str = ""


def python_program(command: Sequence[str]) -> PythonProgram:
    program = shutil.which(command[0])
    interpreter = None if program is None else _interpreter(Path(program))
    if interpreter is None:
        return PythonProgram(None)
    if program is not None and interpreter == Path(program) and (option := _isolating(command[1:])):
        return PythonProgram(interpreter, f"{option} keeps Python from loading anything from outside; leave it out")
    if _is_ours(interpreter) or _can_import(interpreter):
        return PythonProgram(interpreter)
    environment = interpreter.parent.parent
    return PythonProgram(
        interpreter,
        f"it runs in the environment {environment}, where Spanflow is not installed: "
        f"{interpreter} -m pip install spanflow",
    )


def _interpreter(program: Path) -> Path | None:
    """The Python that runs a program: itself, or what its first line names."""
    if _PYTHON.fullmatch(program.name):
        return program
    try:
        with program.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    words = os.fsdecode(head[2:].partition(b"\n")[0]).split()
    if len(words) > 1 and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if words and Path(words[0]).name == "sh" and (long := _LONG.search(head)):
        words = [os.fsdecode(long[1])]
    found = shutil.which(words[0]) if words else None
    return Path(found) if found is not None and _PYTHON.fullmatch(Path(found).name) else None


def _isolating(arguments: Sequence[str]) -> str | None:
    """The option that keeps PYTHONPATH or sitecustomize from being read, if there is one before the script."""
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _WITH_VALUE:
            next(waiting, None)
        elif argument in ("-c", "-m") or not argument.startswith("-"):
            return None
        elif _ISOLATED.match(argument):
            return argument
    return None


def _is_ours(interpreter: Path) -> bool:
    """Whether it is of the environment that this command runs in. Not by what links lead to: all environments of one
    Python lead to that one."""
    return interpreter.absolute().parent == Path(sys.executable).absolute().parent


def _can_import(interpreter: Path) -> bool:
    try:
        done = subprocess.run(
            [str(interpreter), "-c", _INSTALLED, *_NEEDED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return True  # it is not known, so it is tried
    return done.returncode != 3
