"""Servers that speak Redis's protocol, built from their sources where the machine can: half a minute each, once."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

#: What is built: a project's name, its version, its repository.
SOURCES = {
    "redis-7.4": ("redis-server", "7.4.1", "https://github.com/redis/redis"),
    "redis-8": ("redis-server", "8.0.0", "https://github.com/redis/redis"),
    "valkey-8": ("valkey-server", "8.0.1", "https://github.com/valkey-io/valkey"),
}
_CLONE_TIMEOUT = 300.0
_BUILD_TIMEOUT = 900.0


def built_server(name: str) -> Path:
    """The server, from the cache if it was built before; where it cannot be built the test is skipped."""
    program, version, repository = SOURCES[name]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cached = Path(home) / "spanflow-tests" / f"{program}-{version}"
    if cached.exists():
        return cached
    for tool in ("git", "make", "cc"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here to build {program} {version} with")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        try:
            _run(
                folder,
                _CLONE_TIMEOUT,
                "git",
                "clone",
                "--quiet",
                "--depth=1",
                f"--branch={version}",
                repository,
                "source",
            )
            _run(
                folder, _BUILD_TIMEOUT, "make", "--silent", "-j2", "-C", "source/src", program, "MALLOC=libc", "OPT=-O1"
            )
        except (subprocess.SubprocessError, OSError) as why:
            said = str(getattr(why, "stderr", None) or why).strip().splitlines()
            pytest.skip(f"{program} {version} cannot be built here: {said[-1]}")
        (Path(folder) / "source" / "src" / program).replace(cached)
    return cached


def _run(folder: str, timeout: float, *command: str) -> None:
    # Never ask for a name and a password: whoever runs the tests may have gone.
    quietly = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=timeout, env=quietly)
