"""What the doctor has people install can be installed beside us, all of it in one command."""

import subprocess
import sys

import pytest

from spanflow.cli.libraries import ALL, install_command
from tests.support.checkout import ROOT

pytestmark = pytest.mark.long


def test_the_command_that_the_doctor_names_resolves() -> None:
    words = install_command([library for library in ALL if library.instrumentation]).split()
    assert words[:2] == ["pip", "install"] and words[2].startswith("spanflow==")
    wanted = "\n".join([str(ROOT), *words[3:]])
    resolve = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "-"]
    done = subprocess.run(resolve, input=wanted, capture_output=True, text=True, timeout=300, check=False)
    if "dns error" in done.stderr or "error sending request" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    resolved = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert set(words[3:]) <= resolved and "opentelemetry-sdk" in resolved
