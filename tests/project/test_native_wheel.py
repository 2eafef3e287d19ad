"""The native core's wheel as users get it: built from its sdist, installed beside Spanflow's, and used."""

import json
import os
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.checkout import ROOT
from tests.support.wheels import Installed, run

TARGET = "x86_64-unknown-linux-gnu"

#: A flow with fixed ids and times, and what Redis has of it afterwards.
TRACED = """
import json, re, sys
from itertools import count
import redis
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from spanflow.span_processors import native
from spanflow.span_processors.assembly import build_pipeline
from spanflow.span_processors.names import flow_stream
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.settings import Settings

class Counted(IdGenerator):
    def __init__(self):
        self.ids = count(1)
    def generate_span_id(self):
        return next(self.ids)
    def generate_trace_id(self):
        return next(self.ids) << 64

mode, url = sys.argv[1:]
pipeline = build_pipeline(Settings(redis_url=url, archive_enabled=False, native=mode))
provider = TracerProvider(id_generator=Counted())
provider.add_span_processor(FlowSpanProcessor(pipeline))
tracer = provider.get_tracer("gateway")
at = 1_700_000_000_000_000_000
root = tracer.start_span("POST /ask", start_time=at)
for text in ("What is the weather?", "password=hunter2", "Grüße, 世界 \\U0001f600", "x" * 9000, "\\ud800"):
    attributes = {"flow.event_type": "tool_call", "gen_ai.prompt": text, "n": 2**60, "f": 1.0, "list": [True, False]}
    tracer.start_span("tools/call", attributes=attributes, start_time=at + 5).end(at + 10)
root.record_exception(ValueError("no"), timestamp=at + 11)
root.end(at + 20)
assert pipeline.force_flush(30), pipeline.counters
client = redis.Redis.from_url(url)
stored = [fields[b"e"].decode() for key in sorted(client.keys("flow:{*}")) for _, fields in client.xrange(key)]
told = [re.sub('"process":"[^"]+"', "", event) for event in stored]  # an id of its own for each process
client.flushall()
pipeline.shutdown(5)
used = native.chosen(mode)
print(json.dumps({"events": told, "core": used and used.version, "faults": native.faults()}))
"""


def metadata() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def test_both_packages_have_one_version_and_the_extra_asks_for_it() -> None:
    own = Version(metadata()["version"])
    workspace = tomllib.loads((ROOT / "native" / "Cargo.toml").read_text())["workspace"]["package"]
    assert Version(workspace["version"]) == own
    (wanted,) = map(Requirement, metadata()["optional-dependencies"]["native"])
    assert (wanted.name, str(wanted.specifier)) == ("spanflow-core", f"=={own}")


def test_hosted_workflows_use_no_action_that_may_change() -> None:
    used = [
        step["uses"]
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert used and [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []


def test_wheels_are_built_for_every_platform_that_the_docs_name() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "native-wheels.yml").read_text())
    targets = {one["target"] for one in workflow["jobs"]["wheel"]["strategy"]["matrix"]["include"]}
    assert targets == {TARGET, "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist, as the workflow makes them, from a copy of the sources."""
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo on PATH")
    if sys.platform != "linux":
        pytest.skip("this builds Linux' wheel")
    directory = tmp_path_factory.mktemp("native")
    uv = Path(sys.executable).parent / "uv"
    python = directory / "tools" / "bin" / "python"
    run([uv, "venv", "--quiet", python.parent.parent], directory)
    locked = ROOT / "requirements" / "native-wheels.txt"
    run([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", locked], directory)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"  # where Zig is found
    sources = shutil.copytree(ROOT / "native", directory / "native")
    command: list[str | Path] = [
        python,
        "-m",
        "maturin",
        "build",
        "--release",
        "--locked",
        "--target",
        TARGET,
        "--sdist",
        "--zig",
    ]
    run([*command, "--out", directory / "dist"], sources, timeout=1200, variables={"PATH": path})
    return directory / "dist"


def wheel_of(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, built: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    installed = Installed(tmp_path_factory.mktemp("beside"), wheel, constraints=constraints)
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        installed.python,
        "install",
        "--quiet",
        "--no-deps",
    ]
    run([*words, wheel_of(built)], installed.directory)
    return installed


@pytest.mark.long
def test_the_wheel_says_what_it_is(built: Path) -> None:
    wheel = wheel_of(built)
    # One for every Python from 3.11 on, and for every Linux with glibc 2.17.
    version = metadata()["version"]
    assert wheel.name == f"spanflow_core-{version}-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel) as opened:
        about = f"spanflow_core-{version}.dist-info"
        told = opened.read(f"{about}/METADATA").decode()
        assert opened.read(f"{about}/licenses/LICENSE").decode() == (ROOT / "LICENSE").read_text()
    for line in (f"Version: {version}", "License-Expression: Apache-2.0", "Requires-Python: >=3.11", "# spanflow-core"):
        assert line in told.splitlines()


@pytest.mark.long
def test_the_sdist_holds_all_that_a_build_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    sources = {path.relative_to(ROOT / "native").as_posix() for path in (ROOT / "native").glob("*/src/**/*.rs")}
    assert sources | {"Cargo.lock", "LICENSE", "README.md", "pyproject.toml"} <= names


@pytest.mark.long
def test_the_installed_wheel_is_used_and_gives_the_same_events(installed: Installed, redis_url: str) -> None:
    told = {
        mode: json.loads(installed.run("python", "-c", TRACED, mode, redis_url).stdout) for mode in ("off", "require")
    }
    assert told["require"]["core"] == metadata()["version"] and told["require"]["faults"] == 0
    assert told["off"]["core"] is None
    assert len(told["off"]["events"]) == 12
    assert told["require"]["events"] == told["off"]["events"]
    assert "hunter2" not in "".join(told["off"]["events"])


@pytest.mark.long
def test_doctor_names_the_installed_wheel(installed: Installed) -> None:
    doctor = installed.run("spanflow", "doctor", check=False, SPANFLOW_NATIVE="require")
    assert f"{metadata()['version']} is used (SPANFLOW_NATIVE=require)" in doctor.stdout
