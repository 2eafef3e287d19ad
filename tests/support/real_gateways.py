"""Other people's gateways, each installed with this checkout into an environment of its own: it takes minutes, once."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.checkout import ROOT

_REQUIREMENTS = ROOT / "tests" / "gateways" / "requirements"
_TIMEOUT = 900.0
#: What they all support; ContextForge needs no older one.
_PYTHONS = ("python3.12", "python3.13")


def programs_of(gateway: str) -> Path:
    """The folder of programs of an environment with that gateway; skips the test where it cannot be made."""
    locked = _REQUIREMENTS / f"{gateway}.txt"
    key = hashlib.sha256(locked.read_bytes() + str(ROOT).encode()).hexdigest()[:12]
    environment = ROOT / ".cache" / "gateways" / f"{gateway}-{key}"
    if not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        _make(environment, locked)
        (environment / "ready").touch()
    return environment / "bin"


def answers(url: str) -> bool:
    """Whether a gateway that has just started answers already."""
    try:
        return httpx.get(url, timeout=20).is_success
    except httpx.HTTPError:
        return False


def _make(environment: Path, locked: Path) -> None:
    python = _python()
    uv = [sys.executable, "-m", "uv"]
    into = ["pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
    steps = (
        [*uv, "venv", "--quiet", "--python", python, str(environment)],
        [*uv, *into, "--require-hashes", "--requirement", str(locked)],
        [*uv, *into, "--no-deps", "--editable", str(ROOT)],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=_TIMEOUT)
        except (subprocess.SubprocessError, OSError) as why:
            shutil.rmtree(environment, ignore_errors=True)
            said = str(getattr(why, "stderr", None) or why).strip().splitlines()
            pytest.skip(f"{locked.stem} cannot be installed here: {said[-1] if said else why}")


def _python() -> str:
    for name in _PYTHONS:
        found = shutil.which(name)
        if found and _runs(found):
            return found
    for version in sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.1[23].*")):
        if _runs(str(version / "bin" / "python")):
            return str(version / "bin" / "python")
    pytest.skip(f"none of {', '.join(_PYTHONS)} is here")


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
