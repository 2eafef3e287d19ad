"""Become another program that cannot outlive its parent and that a later start can recognise.

Run by path, as `python -I -S launcher.py …`, so it may import nothing but the standard library. Between fork and exec
is no place for Python code in a process with threads; a fresh interpreter is, and it costs about fifteen milliseconds.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def identity(pid: int) -> str | None:
    """What tells this very process from every other that has or had its number; None when there is no such process.

    On Linux: the boot and the tick at which it started, which no change of the clock can move.
    """
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
            # The command's name may hold spaces and brackets, so count from the last closing one.
            state, *rest = text[text.rindex(")") + 2 :].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (OSError, ValueError):
            return None
        return None if state in "ZX" else f"{boot}:{rest[18]}"
    shown = subprocess.run(["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else " ".join(started.split())


def end_with_parent(parent: int, with_signal: int) -> None:
    """Ask the kernel for `with_signal` when the parent dies; where it cannot, the next start ends what is left."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        raise SystemExit(1)


def write_record(path: Path, owner: str) -> None:
    """Write the process id and identity for the next start, atomically."""
    record = {"pid": os.getpid(), "identity": identity(os.getpid()), "owner": owner}
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(record))
    unfinished.replace(path)


def main(arguments: list[str]) -> None:
    record, owner, parent, death_signal, uid, gid, *command = arguments
    write_record(Path(record), owner)
    if int(uid) != os.geteuid():
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    os.umask(0o077)
    # After the change of user: the kernel forgets the request when a process changes its user.
    end_with_parent(int(parent), int(death_signal))
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execv(command[0], command)
    except OSError as why:
        sys.stderr.write(f"cannot start {command[0]}: {why.strerror}\n")
        raise SystemExit(126) from None


if __name__ == "__main__":
    main(sys.argv[1:])
