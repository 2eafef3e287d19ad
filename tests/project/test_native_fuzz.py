"""The native core's Rust under a fuzzer with AddressSanitizer, and under Miri, where this machine has them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

NATIVE = ROOT / "native"
CACHE = ROOT / ".cache" / "native"
FUZZ = CACHE / "fuzz"
TARGETS = [one["name"] for one in tomllib.loads((NATIVE / "fuzz" / "Cargo.toml").read_text())["bin"]]
#: For each target; `FUZZ_S=3600` looks longer.
SECONDS = int(os.environ.get("FUZZ_S", "60"))
#: Crates are fetched, and compiled with a sanitizer, by the first run.
BUILD_S = 1500


def nightly(*words: str | Path, timeout: float = BUILD_S, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cargo", "+nightly", *map(str, words)],
        cwd=NATIVE,
        env={**os.environ, "CARGO_TARGET_DIR": str(FUZZ / "target"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


@cache
def missing(tool: str = "") -> str:
    """Why this machine cannot run nightly Rust, or a tool of it; empty where it can."""
    if shutil.which("cargo") is None:
        return "there is no cargo on PATH"
    if nightly("--version").returncode:
        return "there is no nightly Rust here (rustup toolchain install nightly)"
    if tool and nightly(tool, "--version").returncode:
        return f"there is no cargo {tool} here"
    return ""


def test_every_fuzz_target_has_its_file() -> None:
    assert sorted(TARGETS) == sorted(path.stem for path in (NATIVE / "fuzz" / "fuzz_targets").glob("*.rs")) != []


def test_what_parses_hostile_bytes_has_no_unsafe_code() -> None:
    """Unsafe code stands in the binding only, which the compiler holds."""
    assert "#![forbid(unsafe_code)]" in (NATIVE / "engine" / "src" / "lib.rs").read_text().splitlines()


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_it(target: str) -> None:
    if why := missing("fuzz"):
        pytest.skip(f"{why}: cargo install cargo-fuzz")
    corpus, artifacts = FUZZ / "corpus" / target, FUZZ / "artifacts" / target
    for folder in (corpus, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", f"-artifact_prefix={artifacts}/"]
    if (dictionary := NATIVE / "fuzz" / f"{target}.dict").exists():
        options.append(f"-dict={dictionary}")
    ran = nightly("fuzz", "run", target, corpus, "--", *options, timeout=BUILD_S + SECONDS)
    assert ran.returncode == 0, ran.stdout[-4000:]
    done = re.search(r"Done (\d+) runs", ran.stdout)
    assert done is not None and int(done[1]) > 1000, ran.stdout[-1000:]


@pytest.mark.long
def test_the_engine_has_no_undefined_behaviour_under_miri() -> None:
    if why := missing("miri"):
        pytest.skip(f"{why}: rustup +nightly component add miri rust-src")
    ran = nightly(
        "miri", "test", "--locked", "--package", "spanflow-engine", "--lib", MIRIFLAGS="-Zmiri-strict-provenance"
    )
    if "can't find crate for `std`" in ran.stdout or "failed to build sysroot" in ran.stdout:
        pytest.skip("Miri's standard library cannot be built here")
    assert ran.returncode == 0, ran.stdout[-4000:]
    passed = re.search(r"test result: ok\. (\d+) passed", ran.stdout)
    assert passed is not None and int(passed[1]) > 5, ran.stdout[-1000:]


#: What the binding does with Python's objects, under AddressSanitizer: texts of every storage kind, values of every
#: type and size, a judge that changes what it is asked about, a batch that changes while it is written, replies in
#: pieces, and panics.
EXERCISED = r"""
import collections, gc, itertools, types
import spanflow_core as core
texts = ("", "prose", "\xe9" * 5000, "\u4e16" * 5000, "\U0001f600" * 5000, "\ud800", "password=hunter2")
for text in texts:
    for end in range(0, len(text), 997):
        core.is_clean(text[end:])
for _ in range(100):
    try:
        core.panic_here()
    except RuntimeError as why:
        assert "as asked" in str(why)

words = itertools.cycle(["kept", "plain", "count", "content", "token", "secret", "renamed"])
attributes = {}

def judge(key, nested):
    attributes.clear()
    gc.collect()
    return next(words)

def refusing(key, nested):
    raise ValueError("no")

def nest(levels):
    value = "the end"
    for level in range(levels):
        value = {f"level {level}": value} if level % 2 else [value]
    return value

values = [*texts, *(str(n) * 300 for n in range(50)), 1, 2**63, -(2**70), 0.5, 1e300, float("nan"), None, True, b"x",
          object(), (1, "two"), ["x"] * 5000, {n: n for n in range(3)}, nest(5), nest(17), nest(200), "x" * 300_000]
encoded = 0
contents, lengths = ("full", "hash", "off"), (0, 8192)
for policy in itertools.product(contents, (False, True), ([], ["inhouse"]), lengths, (0, 16), (0, 4096)):
    for asked in (judge, refusing):
        encoder = core.AttributeEncoder(asked, *policy)
        for number, value in enumerate(values):
            attributes |= {f"key {number}": value, "text": f"of its own {number}", "more": [value, {"inner": value}]}
            try:
                encoded += encoder.encode(attributes, 10_000) is not None
            except ValueError as why:
                assert str(why) == "no"
            if number % 3 == 0:
                attributes = {}
assert encoded > 100, encoded

Entry = collections.namedtuple("Entry", "stream kind span_id data whole")

class Changing:
    def __eq__(self, other):
        batch.clear()
        gc.collect()
        return True

def entry(number):
    users, indexed = ((None, str(number)) for _ in range(2))
    stream = types.SimpleNamespace(touched_at=9.0, users=users, indexed=indexed, created=number % 2 == 1,
                                   appending=b"a" * number, creating=b"c" * 50, incomplete=number % 3 == 0)
    return Entry(stream, number % 3, number, bytes(number), b"whole" * (number % 2))

written = 0
for last in (entry(1)._replace(data="no bytes"), entry(2)._replace(stream=None), entry(3), None, object()):
    for first in range(0, 200, 7):
        batch = [entry(number) for number in range(200)] + [last]
        place = first
        while place < len(batch):
            try:
                done, place = core.pack_entries(batch, place, 1.0, Entry)
                written += len(done)
            except (AttributeError, TypeError):
                pass
            place += 1
batch = [entry(number) for number in range(1, 99, 2)]
batch[9].stream.users = Changing()
assert core.pack_entries(batch, 0, 1.0, Entry)[1] <= 10
assert core.pack_entries(tuple(batch), 0, 1.0, Entry) == (b"", 0)
assert written > 10_000, written
assert core.pack_command((b"SET", bytes(70_000), b"")).endswith(b"$0\r\n\r\n")

def refusal(text):
    gc.collect()
    return [text]

sent = b"$3\r\n1-0\r\n-ERR no\r\n*3\r\n*2\r\n:1\r\n*0\r\n-ERR within\r\n$-1\r\n:7\r\n"
for size in range(1, len(sent) + 1):
    reader = core.ReplyReader(4)
    told = [reader.feed(sent[at : at + size]) for at in range(0, len(sent), size)]
    assert told[-1] == (True, ""), told
    for _ in range(3):
        read = reader.list(refusal)
    assert read == [b"1-0", [b"ERR no"], [[1, []], [b"ERR within"], None], 7], read
assert core.ReplyReader(1).feed(b"*4294967295\r\n")[1]
print("clean under AddressSanitizer")
"""


@pytest.mark.long
def test_the_binding_breaks_no_memory(tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    compiler = shutil.which("gcc")
    runtime = (
        compiler
        and subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    )
    if not runtime or not Path(runtime).is_file():
        pytest.skip("there is no gcc with AddressSanitizer's runtime here")
    target = "x86_64-unknown-linux-gnu"
    built = nightly(
        *("build", "--release", "--locked", "--package", "spanflow-core", "--target", target),
        RUSTFLAGS="-Zsanitizer=address",
        PYO3_NO_PYTHON="1",
    )
    assert built.returncode == 0, built.stdout[-4000:]
    shutil.copyfile(FUZZ / "target" / target / "release" / "libspanflow_core.so", tmp_path / "spanflow_core.abi3.so")
    ran = subprocess.run(
        [sys.executable, "-c", EXERCISED],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert (ran.returncode, ran.stdout) == (0, "clean under AddressSanitizer\n"), ran.stderr[-4000:]
