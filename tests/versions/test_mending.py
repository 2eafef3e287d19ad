"""The command that the doctor gives for a set of OpenTelemetry packages that do not fit together really mends it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT

pytestmark = pytest.mark.long


def found(python: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), "-m", "spanflow.cli.main", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    findings = json.loads(done.stdout)["findings"]
    [finding] = [finding for finding in findings if finding["check"] == "OpenTelemetry packages"]
    told: dict[str, Any] = finding
    return told


def test_a_set_that_another_install_has_broken_is_mended(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for words in (
            [sys.executable, "-m", "uv", "venv", "--quiet", "--seed", "--python", sys.executable, str(environment)],
            [*install, str(ROOT), "opentelemetry-sdk==1.44.0", "opentelemetry-instrumentation==0.65b0"],
            [*install, "--no-deps", "opentelemetry-sdk==1.43.0", "opentelemetry-semantic-conventions==0.64b0"],
        ):
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as why:
        pytest.skip(f"packages cannot be installed here: {why.stderr.strip().splitlines()[-1:]}")
    broken = found(python)
    assert broken["level"] == "problem"
    assert "opentelemetry-sdk 1.43.0 needs opentelemetry-api==1.43.0, and 1.44.0 is installed" in broken["message"]
    program, *words = broken["repair"].split()
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([program, *words, "--quiet"], check=True, env={**os.environ, "PATH": path}, timeout=600)
    assert found(python)["level"] == "ok"
