"""An environment of its own with locked packages and this checkout: it takes minutes, once."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT

_TIMEOUT = 900.0


class CannotInstall(RuntimeError):
    """Says why, in one line."""


def locked_environment(kind: str, locked: Path, python: str) -> Path:
    """The folder of its programs."""
    key = hashlib.sha256(locked.read_bytes() + str(ROOT).encode()).hexdigest()[:12]
    environment = ROOT / ".cache" / kind / f"{locked.stem}-{key}"
    ready = environment / "ready"
    if not ready.exists():
        shutil.rmtree(environment, ignore_errors=True)
        _run(locked, environment, ["venv", "--quiet", "--python", python, str(environment)])
        _run(locked, environment, [*_into(environment), "--require-hashes", "--requirement", str(locked)])
    about_us = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not ready.exists() or ready.read_text() != about_us:
        _run(locked, environment, [*_into(environment), "--no-deps", "--editable", str(ROOT)])
        ready.write_text(about_us)
    return environment / "bin"


def _into(environment: Path) -> list[str]:
    return ["pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]


def _run(locked: Path, environment: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "uv", *words]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT)
    except (subprocess.SubprocessError, OSError) as why:
        shutil.rmtree(environment, ignore_errors=True)
        said = str(getattr(why, "stderr", None) or why).strip().splitlines()
        raise CannotInstall(f"{locked.stem} cannot be installed here: {said[-1] if said else why}") from why
