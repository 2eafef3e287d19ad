"""Other people's gateways, each installed with this checkout into an environment of its own: it takes minutes, once."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.checkout import ROOT
from tests.support.locked_environment import CannotInstall, locked_environment

_REQUIREMENTS = ROOT / "tests" / "gateways" / "requirements"
#: What they all support; ContextForge needs no older one.
_PYTHONS = ("python3.12", "python3.13")


def programs_of(gateway: str) -> Path:
    """The folder of programs of an environment with that gateway; skips the test where it cannot be made."""
    try:
        return locked_environment("gateways", _REQUIREMENTS / f"{gateway}.txt", _python())
    except CannotInstall as why:
        pytest.skip(str(why))


def answers(url: str) -> bool:
    """Whether a gateway that has just started answers already."""
    try:
        return httpx.get(url, timeout=20).is_success
    except httpx.HTTPError:
        return False


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
