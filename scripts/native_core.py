"""Build the native core where a recent Rust is, and check its sources. Spanflow works without it.

`make env` builds it into `.venv`, once for each state of the sources. Nothing that goes wrong here is an error: Python
does the same work.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "native"
CACHE: Final = ROOT / ".cache" / "native"
STAMP: Final = CACHE / "built"
LOG: Final = CACHE / "build.log"
#: As in native/Cargo.toml.
OLDEST_CARGO: Final = (1, 85)
#: Crates are fetched by the first build; without a network it must not hold up `make` for long.
TIMEOUT_S: Final = 600
NETWORK: Final = {"CARGO_NET_RETRY": "1", "CARGO_HTTP_TIMEOUT": "20"}
RETRY_AFTER_S: Final = 3600
KINDS: Final = ("*.rs", "*.toml", "*.lock")
MODULE: Final = "spanflow_core.abi3.so"


def build() -> str:
    """Have the core in `.venv` that fits to the sources, or none; what to tell, if it is news."""
    target = installed()
    if target is None:
        return ""
    digest = fingerprint()
    state, _, known = read(STAMP).partition(" ")
    if known == digest and (target.exists() if state == "built" else not is_stale(STAMP)):
        return ""
    CACHE.mkdir(parents=True, exist_ok=True)
    version = cargo_version()
    if version is None:
        return without(target, digest, "there is no cargo on PATH")
    if version < OLDEST_CARGO:
        oldest = ".".join(map(str, OLDEST_CARGO))
        return without(target, digest, f"cargo {'.'.join(map(str, version))} is older than {oldest}")
    library = compiled()
    if library is None:
        return without(target, digest, f"it could not be built, see {LOG.relative_to(ROOT)}")
    # Not into the file that is there: a process may have it loaded.
    new = target.with_name(f".{MODULE}.{os.getpid()}")
    shutil.copyfile(library, new)
    new.replace(target)
    STAMP.write_text(f"built {digest}")
    return "The native core is built (SPANFLOW_NATIVE uses it)."


def without(target: Path, digest: str, why: str) -> str:
    """Leave no core of other sources behind."""
    target.unlink(missing_ok=True)
    STAMP.write_text(f"none {digest}")
    return f"No native core, Python is used instead: {why}."


def installed() -> Path | None:
    """Where the core lies in `.venv`; None where there is no environment."""
    packages = next((ROOT / ".venv" / "lib").glob("python3*/site-packages"), None)
    return None if packages is None else packages / MODULE


def compiled() -> Path | None:
    # Named here, so that it is found: CARGO_TARGET_DIR, or a configuration file, may say otherwise.
    target = CACHE / "target"
    command = ["cargo", "build", "--release", "--locked", "--package", "spanflow-core", "--target-dir", str(target)]
    environment = {**NETWORK, **os.environ}
    # abi3: one library for every Python from 3.11 on, so that none has to be asked.
    environment["PYO3_NO_PYTHON"] = "1"
    try:
        done = subprocess.run(
            command,
            cwd=SOURCES,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        LOG.write_text(f"{why}\n")
        return None
    LOG.write_text(done.stdout)
    found = [target / "release" / f"libspanflow_core.{suffix}" for suffix in ("so", "dylib")]
    return next((path for path in found if done.returncode == 0 and path.exists()), None)


def cargo_version() -> tuple[int, ...] | None:
    try:
        shown = subprocess.run(["cargo", "--version"], capture_output=True, text=True, timeout=60, cwd=SOURCES).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"cargo (\d+)\.(\d+)", shown)
    return None if match is None else (int(match[1]), int(match[2]))


def fingerprint() -> str:
    """Changes with the sources, with whether there is a cargo, and with this script."""
    digest = hashlib.sha256(f"{ROOT}\n{shutil.which('cargo')}\n".encode())
    for path in (Path(__file__), *sorted(path for kind in KINDS for path in SOURCES.rglob(kind))):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_stale(path: Path) -> bool:
    """A network may be back, or another Rust installed."""
    return time.time() - path.stat().st_mtime > RETRY_AFTER_S


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def check() -> int:
    """Format, lints and the engine's own tests, as far as this machine has the tools."""
    version = cargo_version()
    if version is None or version < OLDEST_CARGO:
        sys.stdout.write("No recent cargo here: the native core's sources are not checked.\n")
        return 0
    environment = {**NETWORK, **os.environ, "PYO3_NO_PYTHON": "1", "CARGO_TARGET_DIR": str(CACHE / "target")}
    commands = [("rustfmt", ["cargo", "fmt", "--check"])]
    if fetched(environment):
        commands += [
            ("cargo-clippy", ["cargo", "clippy", "--quiet", "--locked", "--release", "--", "--deny", "warnings"]),
            ("cargo", ["cargo", "test", "--quiet", "--locked", "--release", "--package", "spanflow-engine", "--lib"]),
        ]
    else:
        sys.stdout.write("The native core's crates cannot be fetched here: lints and tests of it are left out.\n")
    for tool, command in commands:
        if shutil.which(tool) is None:
            sys.stdout.write(f"No {tool} here: `{' '.join(command[:2])}` is left out.\n")
        elif subprocess.run(command, cwd=SOURCES, env=environment, stdin=subprocess.DEVNULL).returncode:
            return 1
    return 0


def fetched(environment: dict[str, str]) -> bool:
    """Whether everything that the core is made of is here, after a try to get it."""
    command = ["cargo", "fetch", "--quiet", "--locked"]
    try:
        done = subprocess.run(command, cwd=SOURCES, env=environment, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    if arguments == ["check"]:
        return check()
    news = build()
    if news:
        sys.stdout.write(f"{news}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
