"""The native core is used as `SPANFLOW_NATIVE` says, and nothing that is wrong with it gets to a request."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.version import Version

from spanflow.span_processors import native
from spanflow.span_processors.native import NativeCore
from tests.support.native_core import core, needs_core

#: A gateway's start: what `configure` answers, what is in the log, and whether the core was loaded.
START = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stdout)
from spanflow.instrumentation import configure, shutdown
print("records flows:", configure())
print("loaded:", "spanflow_core" in sys.modules)
shutdown()
"""
OWN_VERSION = version("spanflow")
UNUSED = {"SPANFLOW_REDIS_ENABLED": "false", "SPANFLOW_ARCHIVE_ENABLED": "false"}


def started(mode: str, *, modules: Path | None = None, program: str = START) -> str:
    """What a process says that is started so, with `modules` before everything that is installed."""
    path = {} if modules is None else {"PYTHONPATH": str(modules)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **UNUSED, **path, "SPANFLOW_NATIVE": mode},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def without_core(tmp_path: Path) -> Path:
    (tmp_path / "spanflow_core.py").write_text("raise ModuleNotFoundError('No module named spanflow_core')\n")
    return tmp_path


@pytest.fixture
def foreign_core(tmp_path: Path) -> Path:
    """One of another platform, say."""
    (tmp_path / "spanflow_core.py").write_text("raise ImportError('wrong ELF class')\n")
    return tmp_path


@pytest.fixture
def newer_core(tmp_path: Path) -> Path:
    (tmp_path / "spanflow_core.py").write_text("INTERFACE = 99\nVERSION = '7.0'\nis_clean = bool\n")
    return tmp_path


@pytest.fixture
def other_release(tmp_path: Path) -> Path:
    """Everything that is called is there, and it comes from another release."""
    (tmp_path / "spanflow_core.py").write_text(
        "import sys\n"
        "from unittest.mock import MagicMock\n"
        f"INTERFACE = {native._INTERFACE}\nVERSION = '0.0.9-rc.1'\n"
        "def __getattr__(name): return MagicMock()\n"
    )
    return tmp_path


def test_by_default_the_core_is_not_even_loaded() -> None:
    said = started("")
    assert "records flows: True" in said
    assert "loaded: False" in said
    assert "native" not in said


@needs_core
@pytest.mark.parametrize("mode", ["auto", "require"])
def test_where_it_is_installed_it_is_used_and_the_log_says_so_once(mode: str) -> None:
    said = started(mode)
    assert "records flows: True" in said
    assert said.count(f"native core {core().version} is used (SPANFLOW_NATIVE={mode})") == 1


def test_auto_falls_back_to_python_and_says_why(without_core: Path) -> None:
    said = started("auto", modules=without_core)
    assert "records flows: True" in said
    assert said.count("Python is used instead of the native core: spanflow_core is not installed") == 1


def test_auto_falls_back_where_the_core_cannot_be_loaded(foreign_core: Path) -> None:
    said = started("auto", modules=foreign_core)
    assert "records flows: True" in said
    assert "spanflow_core cannot be loaded (ImportError: wrong ELF class)" in said


def test_a_core_with_another_interface_is_not_used(newer_core: Path) -> None:
    said = started("auto", modules=newer_core)
    assert "records flows: True" in said
    assert "spanflow_core 7.0 has interface 99, and this Spanflow needs 3" in said


def test_auto_does_not_use_a_core_of_another_release(other_release: Path) -> None:
    said = started("auto", modules=other_release)
    assert "records flows: True" in said
    line = f"Python is used instead of the native core: spanflow_core 0.0.9-rc.1 is not of this release, {OWN_VERSION}"
    assert said.count(line) == 1


def test_require_refuses_to_trace_with_a_core_of_another_release(other_release: Path) -> None:
    said = started("require", modules=other_release)
    assert "records flows: False" in said
    assert (
        "SPANFLOW_NATIVE: 'require' cannot be used; spanflow_core 0.0.9-rc.1 is not of this release, "
        f"{OWN_VERSION} (auto would use Python)."
    ) in said
    assert "Traceback" not in said


def test_require_refuses_to_trace_with_a_core_that_cannot_be_loaded(foreign_core: Path) -> None:
    said = started("require", modules=foreign_core)
    assert "records flows: False" in said
    assert "'require' cannot be used; spanflow_core cannot be loaded (ImportError: wrong ELF class)" in said
    assert "Traceback" not in said


@needs_core
def test_the_core_is_of_this_release() -> None:
    assert Version(core().version) == Version(OWN_VERSION)


def test_require_refuses_to_trace_without_it_and_the_application_runs(without_core: Path) -> None:
    said = started("require", modules=without_core)
    assert "records flows: False" in said
    assert "SPANFLOW_NATIVE: 'require' cannot be used; spanflow_core is not installed" in said
    assert "Traceback" not in said


def test_settings_of_the_applications_own_are_refused_too(without_core: Path) -> None:
    program = START.replace(
        "configure()",
        "configure(settings=__import__('spanflow.span_processors.settings', fromlist=['*']).Settings("
        "enabled=True, mirror_enabled=False, archive_enabled=False, native='require'))",
    )
    said = started("", modules=without_core, program=program)
    assert "records flows: False" in said
    assert "'require' cannot be used; spanflow_core is not installed" in said


def test_a_word_that_is_no_mode_is_refused() -> None:
    said = started("on")
    assert "records flows: False" in said
    assert "SPANFLOW_NATIVE: 'on' cannot be used; use one of auto, off, require." in said


@needs_core
def test_a_panic_is_an_ordinary_error_that_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module("spanflow_core")
    with pytest.raises(RuntimeError, match="the native core panicked: as asked"):
        module.panic_here()
    assert capfd.readouterr().err == ""


@needs_core
def test_after_a_panic_python_takes_over_for_good(caplog: pytest.LogCaptureFixture) -> None:
    module = importlib.import_module("spanflow_core")
    panics = iter([True])

    def is_clean(text: str) -> bool:
        if next(panics, False):
            module.panic_here()
        return bool(module.is_clean(text))

    broken = NativeCore(SimpleNamespace(VERSION="0", is_clean=is_clean))
    assert [broken.is_clean("prose") for _ in range(3)] == [False, False, False]
    assert broken.faults == 1
    assert [record.message for record in caplog.records] == [
        "the native core failed and is not used any more in this process; Python is used instead"
    ]


@needs_core
def test_a_sub_interpreter_is_refused_and_python_is_used_there() -> None:
    said = started(
        "",
        program="""
import importlib, sys
interpreters = importlib.import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
importlib.import_module("spanflow_core")
number = interpreters.create()
interpreters.run_string(number, '''
try:
    import spanflow_core
    print("was loaded", flush=True)
except ImportError as why:
    print("refused:", why, flush=True)
''')
interpreters.destroy(number)
""",
    )
    assert "refused:" in said, said


@needs_core
def test_a_forked_child_goes_on_with_it() -> None:
    said = started(
        "auto",
        program="""
import os
from spanflow.span_processors.native import chosen
core = chosen("auto")
assert core.is_clean("some prose")
child = os.fork()
if child == 0:
    os._exit(0 if core.is_clean("some prose") and not core.is_clean("password=abc") else 1)
print("child:", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
    )
    assert "child: 0" in said
