"""Wheels in clean environments, outside the checkout."""

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

IMPORT_ALL = """
import importlib, json, pkgutil, sys
names, broken = [], {}
for room in sys.argv[1:]:
    package = importlib.import_module(room)
    names.append(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        # Alembic runs these itself, inside its own context; launchers are run by path.
        if ".versions." in module.name or module.name.endswith((".env", ".launcher")):
            continue
        try:
            importlib.import_module(module.name)
            names.append(module.name)
        except Exception as why:
            broken[module.name] = repr(why)
print(json.dumps({"names": names, "broken": broken}))
"""


class Installed:
    """A clean environment with the wheel in it, somewhere the checkout cannot be seen."""

    def __init__(self, directory: Path, wheel: Path, extras: str = "", constraints: Path | None = None) -> None:
        self.directory = directory
        self.python = directory / "environment" / "bin" / "python"
        venv.EnvBuilder(symlinks=True).create(directory / "environment")
        requirement = f"spanflow{extras} @ {wheel.as_uri()}"
        words = [] if constraints is None else ["--constraint", str(constraints)]
        run(
            [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", *words, requirement], directory
        )

    def run(self, *command: str | Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        program = self.directory / "environment" / "bin" / command[0]
        return run([program, *command[1:]], self.directory, check=check, variables=variables)

    def distributions(self) -> set[str]:
        listed = run([sys.executable, "-m", "pip", "--python", self.python, "list", "--format", "json"], self.directory)
        return {re.sub(r"[-_.]+", "-", row["name"]).lower() for row in json.loads(listed.stdout)}

    def import_all(self, *rooms: str) -> set[str]:
        outcome = json.loads(self.run("python", "-c", IMPORT_ALL, *rooms).stdout)
        assert outcome["broken"] == {}
        return set(outcome["names"])


def run(
    command: Sequence[str | Path],
    directory: Path,
    *,
    check: bool = True,
    timeout: float = 600,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    hidden = ("SPANFLOW_", "OTEL_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment |= variables
    done = subprocess.run(
        list(map(str, command)),
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done
