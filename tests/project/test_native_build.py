"""`make env` and the native core: built where a recent cargo is, and nothing about it stops anybody."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

CARGO = """#!/bin/sh
if [ "$1" = --version ]; then echo "cargo {version} (0000000 2025-01-01)"; exit 0; fi
echo ran >> "{folder}/runs"
{build}
"""


class Checkout:
    """As much of one as the script looks at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / ".venv" / "lib" / "python3.11" / "site-packages"
        self.packages.mkdir(parents=True)
        self.module = self.packages / "spanflow_core.abi3.so"
        self.bin = folder / "bin"
        self.bin.mkdir()
        # Nothing else is on PATH: the machine may have a cargo of its own.
        (self.bin / "mkdir").symlink_to(shutil.which("mkdir") or "/bin/mkdir")
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "native_core.py", folder / "scripts")
        shutil.copytree(ROOT / "native", folder / "native")

    def cargo(self, build: str, version: str = "1.95.0") -> None:
        """A cargo on PATH that does this."""
        path = self.bin / "cargo"
        path.write_text(CARGO.format(version=version, folder=self.folder, build=build))
        path.chmod(0o755)

    @property
    def runs(self) -> int:
        """How often something was built."""
        runs = self.folder / "runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.folder / "scripts" / "native_core.py"), *arguments],
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def build(self) -> str:
        done = self.run()
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


WORKS = "mkdir -p ../.cache/native/target/release && echo built > ../.cache/native/target/release/libspanflow_core.so"


def test_without_a_cargo_one_line_says_once_that_python_is_used(checkout: Checkout) -> None:
    checkout.module.write_text("of older sources")
    assert checkout.build() == "No native core, Python is used instead: there is no cargo on PATH.\n"
    assert not checkout.module.exists()
    assert checkout.build() == ""


def test_an_old_cargo_is_not_tried(checkout: Checkout) -> None:
    checkout.cargo("exit 1", version="1.75.0")
    assert checkout.build() == "No native core, Python is used instead: cargo 1.75 is older than 1.85.\n"
    assert checkout.runs == 0


def test_what_cannot_be_built_is_one_line_and_not_tried_at_every_command(checkout: Checkout) -> None:
    checkout.cargo("echo 'no network' >&2; exit 101")
    line = "No native core, Python is used instead: it could not be built, see .cache/native/build.log.\n"
    assert checkout.build() == line
    assert (checkout.folder / ".cache" / "native" / "build.log").read_text() == "no network\n"
    assert checkout.build() == ""
    assert checkout.runs == 1
    stamp = checkout.folder / ".cache" / "native" / "built"
    an_hour_ago = stamp.stat().st_mtime - 3601
    os.utime(stamp, (an_hour_ago, an_hour_ago))
    assert checkout.build() == line
    assert checkout.runs == 2


def test_it_is_built_once_for_each_state_of_the_sources(checkout: Checkout) -> None:
    checkout.cargo(WORKS)
    assert checkout.build() == "The native core is built (SPANFLOW_NATIVE uses it).\n"
    assert checkout.module.read_text() == "built\n"
    assert checkout.build() == ""
    source = checkout.folder / "native" / "engine" / "src" / "lib.rs"
    source.write_text(source.read_text() + "// changed\n")
    assert checkout.build() != ""
    assert checkout.runs == 2


def test_it_is_there_again_in_an_environment_that_was_made_anew(checkout: Checkout) -> None:
    checkout.cargo(WORKS)
    checkout.build()
    checkout.module.unlink()
    assert checkout.build() != ""
    assert checkout.module.exists()


def test_what_was_built_before_goes_when_its_successor_cannot_be_built(checkout: Checkout) -> None:
    checkout.cargo(WORKS)
    checkout.build()
    checkout.cargo("exit 1")
    source = checkout.folder / "native" / "Cargo.toml"
    source.write_text(source.read_text() + "\n")
    assert "could not be built" in checkout.build()
    assert not checkout.module.exists()


def test_without_an_environment_there_is_nothing_to_do(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    assert checkout.build() == ""


def test_the_oldest_cargo_is_the_one_that_the_sources_name() -> None:
    from scripts.native_core import OLDEST_CARGO

    version = ".".join(map(str, OLDEST_CARGO))
    assert f'rust-version = "{version}"' in (ROOT / "native" / "Cargo.toml").read_text()


def test_sources_are_not_judged_where_what_they_are_made_of_cannot_be_fetched(checkout: Checkout) -> None:
    checkout.cargo('[ "$1" = fetch ] && exit 101; exit 1')
    for tool in ("rustfmt", "cargo-clippy"):
        (checkout.bin / tool).symlink_to("/bin/true")
    said = checkout.run("check")
    assert (said.returncode, said.stderr) == (1, "")
    checkout.cargo('[ "$1" = fmt ] && exit 0; exit 101')
    said = checkout.run("check")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "The native core's crates cannot be fetched here: lints and tests of it are left out.\n"
