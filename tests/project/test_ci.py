"""`.ci/run` with real make and pytest, over tests of a project of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = """
test:
\t@{python} -m pytest -q -p no:randomly tests $(ARGS)
check:
\t@true
test-long:
\t@{python} -m pytest -q -p no:randomly long $(ARGS)
"""
FLAKY = """
from pathlib import Path

import pytest


def passes_from_the_second_time_on(name):
    mark = Path(name)
    tried_before = mark.exists()
    mark.touch()
    assert tried_before


@pytest.mark.parametrize("case", ["a b", 'with "quotes"'])
def test_flaky(case):
    passes_from_the_second_time_on(case)


def test_steady():
    pass
"""
BROKEN = """
def test_broken():
    raise AssertionError("always")
"""
STEADY = """
def test_steady():
    pass
"""
LONG = """
from pathlib import Path


def test_long_and_flaky():
    tried_before = Path("long-mark").exists()
    Path("long-mark").touch()
    assert tried_before
"""
HANGS = """
import time


def test_hangs():
    time.sleep(600)
"""
# As in this suite's own conftest.py.
ENDS_IN_ORDER = """
import signal


def pytest_configure(config):
    def interrupted(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
"""
TITLE = "== flaky: failed, and passed when tried once more"


def test_what_passes_only_when_tried_once_more_is_listed_last(tmp_path: Path) -> None:
    code, listed = _run(tmp_path, {"tests/test_it.py": FLAKY, "long/test_it.py": LONG})
    assert code == 0
    assert listed == [
        "make test: tests/test_it.py::test_flaky[a b]",
        'make test: tests/test_it.py::test_flaky[with "quotes"]',
        "make test-long: long/test_it.py::test_long_and_flaky",
    ]


def test_it_is_listed_as_well_when_something_else_fails_twice(tmp_path: Path) -> None:
    code, listed = _run(tmp_path, {"tests/test_it.py": FLAKY, "tests/test_other.py": BROKEN, "long/test_it.py": LONG})
    assert code != 0
    assert listed == [
        "make test: tests/test_it.py::test_flaky[a b]",
        'make test: tests/test_it.py::test_flaky[with "quotes"]',
    ]


def test_nothing_flaky_is_said_as_well(tmp_path: Path) -> None:
    assert _run(tmp_path, {"tests/test_it.py": STEADY, "long/test_it.py": STEADY}) == (0, ["none"])


@pytest.mark.long
def test_long_tests_that_do_not_fit_are_stopped_and_what_failed_before_is_tried_once_more(tmp_path: Path) -> None:
    files = {"tests/test_it.py": STEADY, "long/test_1.py": LONG, "long/test_2.py": HANGS, "conftest.py": ENDS_IN_ORDER}
    assert _run(tmp_path, files, budget_s=60) == (0, ["make test-long: long/test_1.py::test_long_and_flaky"])


@pytest.mark.long
def test_long_tests_that_do_not_even_end_when_told_to_do_not_fail_the_run(tmp_path: Path) -> None:
    deaf = "import signal\n\n\ndef pytest_configure(config):\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    files = {"tests/test_it.py": STEADY, "long/test_1.py": STEADY, "long/test_2.py": HANGS, "conftest.py": deaf}
    assert _run(tmp_path, files, budget_s=30) == (0, ["none"])


def _run(folder: Path, files: dict[str, str], budget_s: int = 600) -> tuple[int, list[str]]:
    """The exit code, and what stands below the last title; run as in a shell's background, where SIGINT is ignored."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "Makefile").write_text(MAKEFILE.format(python=sys.executable))
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "MAKE"))}
    environment["CI_BUDGET_S"] = str(budget_s)
    done = subprocess.run(
        ["env", "--ignore-signal=INT", "bash", ".ci/run"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    before, title, after = done.stdout.rpartition(TITLE)
    assert title, done.stdout
    return done.returncode, [line.strip() for line in after.splitlines()[1:]]
