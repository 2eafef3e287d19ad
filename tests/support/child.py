"""Start a server as a child of the test run, in a way that it cannot outlive it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: As root, servers run as this user: PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody"


def as_root() -> bool:
    return os.geteuid() == 0


def give_to_server(path: Path) -> None:
    """Let the server's user own a folder of the test run."""
    if as_root():
        user = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, user.pw_uid, user.pw_gid)


def prefix() -> list[str]:
    """What stands before a server's command: drop root, and die with the test run even when that is killed."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    words = [setpriv, "--pdeathsig", "KILL"]
    if as_root():
        user = pwd.getpwnam(UNPRIVILEGED)
        words += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return [*words, "--"]


def start(command: Sequence[str | Path], log: Path, *, cwd: Path) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that Ctrl-C at the terminal reaches the test run only."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix(), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )


def run(command: Sequence[str | Path], *, cwd: Path) -> None:
    """Run a command as the servers' user and show its output when it fails."""
    done = subprocess.run(
        [*prefix(), *map(str, command)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def reachable(path: Path) -> bool:
    """Can the servers' user get at this file? (Not in a checkout below root's private home.)"""
    return not as_root() or all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
