"""The README's two commands on a bare Debian with Python and make, as root and as a user."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT, files

pytestmark = pytest.mark.long

SUITE = "bookworm"
#: Without one, debootstrap takes the mirror that it takes by default.
MIRROR = [os.environ["TEST_DEBIAN_MIRROR"]] if "TEST_DEBIAN_MIRROR" in os.environ else []
USER = "tester"
#: `make test` is the same command here; the whole suite would take ten minutes each time.
SELECTION = ["tests/project/test_support.py", "tests/cli/test_embedded_stack.py", "tests/project/test_browser.py"]
#: Where this machine's way to the package indexes needs certificates of its own, the bare one needs them too.
CERTIFICATES = {"PIP_CERT", "NODE_EXTRA_CA_CERTS"} & os.environ.keys()


#: Runs with the Debian's folder as its argument, in namespaces of its own, and becomes what follows.
ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
shift
exec "$@"
"""
#: A network namespace begins with its loopback interface down.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


class BareMachine:
    """A Debian in a folder. Commands run in namespaces of their own: whatever one leaves running goes with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: The checkout's place: a path with a space, below a home.
        self.checkout = f"/home/{USER}/my projects/spanflow"

    def run(self, user: str, *words: str, network: bool) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root" if user == "root" else f"/home/{user}",
            **dict.fromkeys(CERTIFICATES, "/usr/local/share/certificates.pem"),
        }
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        command += [] if network else ["--net", sys.executable, "-c", LOOPBACK_UP]
        command += ["sh", "-c", ENTER, "sh", str(self.root), "chroot", f"--userspec={user}", str(self.root)]
        command += ["/usr/bin/env", "-i", f"--chdir={self.checkout}"]
        command += [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [*command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1500
        )

    def do(self, user: str, *words: str, network: bool = True) -> dict[str, Any]:
        done = self.run(user, "python3", "tests/project/fresh_machine.py", *words, network=network)
        assert done.returncode == 0, done.stdout + done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return outcome


@pytest.fixture(scope="module")
def bare_debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a bare Debian in a folder")
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} on this machine")
    root = tmp_path_factory.mktemp("bare") / "debian"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=python3,make", SUITE, root, *MIRROR],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if made.returncode:
        pytest.skip(f"debootstrap could not make a Debian: {made.stdout[-300:]}")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    for name in sorted(CERTIFICATES):
        shutil.copy(os.environ[name], root / "usr/local/share/certificates.pem")
    subprocess.run(["chroot", root, "useradd", "--create-home", USER], check=True)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module", params=["root", USER])
def machine(request: pytest.FixtureRequest, bare_debian: Path) -> tuple[BareMachine, str]:
    """With a fresh checkout that belongs to the one who works in it: root first, then a user."""
    user: str = request.param
    fresh = BareMachine(bare_debian)
    checkout = bare_debian / fresh.checkout.lstrip("/")
    shutil.rmtree(checkout, ignore_errors=True)
    for path in files():
        copy = checkout / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    subprocess.run(["chroot", bare_debian, "chown", "--recursive", f"{user}:", Path(fresh.checkout).parent], check=True)
    return fresh, user


def test_make_demo_prints_an_address_and_leaves_nothing(machine: tuple[BareMachine, str]) -> None:
    fresh, user = machine
    first = fresh.do(user, "demo", "900")
    assert first["address"], first["said"]
    assert "<div id=" in first["page"]
    assert first["left"] == []
    again = fresh.do(user, "demo", "120", network=False)
    assert again["address"], again["said"]
    assert again["left"] == []


def test_make_test_runs_the_suite(machine: tuple[BareMachine, str]) -> None:
    fresh, user = machine
    for network in (True, False):  # the second time from what the first has brought
        outcome = fresh.do(user, "test", *SELECTION, network=network)
        assert outcome["code"] == 0, outcome["said"]
        assert " passed" in outcome["said"]
