"""Runs inside a bare Debian that `test_fresh_machine.py` made: do what the README says and look at what happens.

Standard library only. Prints a line of JSON at the end.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def demo(within: float) -> dict[str, object]:
    """`make demo` until it prints its address, then Ctrl-C."""
    before = processes()
    began = time.monotonic()
    make = subprocess.Popen(
        ["make", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    address = ""
    assert make.stdout is not None
    for line in make.stdout:
        said.append(line)
        found = re.search(r"Open (http://\S+)", line)
        if found:
            address = found[1]
            break
        if time.monotonic() - began > within:
            break
    seconds = time.monotonic() - began
    page = ""
    if address:
        with urllib.request.urlopen(address.split("#")[0], timeout=30) as answer:
            page = answer.read().decode()
    # What Ctrl-C at a terminal does: the whole foreground group gets it.
    os.killpg(make.pid, signal.SIGINT)
    rest, _ = make.communicate(timeout=60)
    return {
        "seconds": round(seconds, 1),
        "address": address,
        "page": page[:2000],
        "said": "".join(said) + rest,
        "left": sorted(processes() - before),
    }


def test(selection: list[str]) -> dict[str, object]:
    """`make test` over a part of the suite."""
    began = time.monotonic()
    done = subprocess.run(
        ["make", "test", f"ARGS={' '.join(selection)}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return {"seconds": round(time.monotonic() - began, 1), "code": done.returncode, "said": done.stdout[-20_000:]}


def processes() -> set[str]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = status.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if command:
            found.add(command)
    return found


if __name__ == "__main__":
    outcome = demo(float(sys.argv[2])) if sys.argv[1] == "demo" else test(sys.argv[2:])
    sys.stdout.write("\n" + json.dumps(outcome) + "\n")
