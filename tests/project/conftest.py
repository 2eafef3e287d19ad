"""The wheel as users get it."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, files
from tests.support.wheels import run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, which is built from a copy: nothing that was built in the checkout may help."""
    directory = tmp_path_factory.mktemp("build")
    checkout = directory / "checkout"
    for path in files():
        copy = checkout / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", directory / "dist", checkout], directory)
    (built,) = (directory / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked versions, without hashes: the wheel itself has none."""
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text("\n".join(re.findall(r"^[\w.\[\]-]+==[^\s\\]+(?: ; [^\\\n]+)?", lock, re.MULTILINE)))
    return path
