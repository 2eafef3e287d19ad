"""The releases of OpenTelemetry that are tried are those that we allow, and the page says what came of it."""

import json
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.try_versions import RESULTS, lock_files, locked_versions_of
from tests.support.checkout import ROOT

ASKED = [Requirement(text) for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]]
OURS = {canonicalize_name(one.name): one.specifier for one in ASKED}
LOCKED = {path.stem: locked_versions_of(path.read_text()) for path in lock_files()}


def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def test_the_oldest_that_is_tried_is_the_oldest_that_we_allow() -> None:
    oldest = LOCKED["opentelemetry-1.28"]
    floors = {name: floor_of(specifier) for name, specifier in OURS.items() if name.startswith("opentelemetry-")}
    assert len(floors) == 5
    assert {name: Version(oldest[name]) for name in floors} == floors


def floor_of(specifier: SpecifierSet) -> Version:
    [floor] = [Version(bound.version) for bound in specifier if bound.operator == ">="]
    return floor


@pytest.mark.parametrize("name", LOCKED)
def test_every_release_that_is_tried_is_within_our_ranges(name: str) -> None:
    locked = LOCKED[name]
    outside = [
        f"{package} {locked.get(package)} is not {specifier}"
        for package, specifier in OURS.items()
        if not specifier.contains(locked.get(package, "0"), prereleases=True)
    ]
    assert outside == []


def test_we_pin_nothing_that_gateways_pin_themselves() -> None:
    pinned = {name: str(specifier) for name, specifier in OURS.items() if any(b.operator == "==" for b in specifier)}
    assert pinned == {}


def test_what_litellm_pinned_goes_together_with_us() -> None:
    [row] = [
        row
        for row in results()["beside"]
        if (row["package"], row["release"]) == ("litellm[proxy,proxy-runtime]", "1.102.4")
    ]
    assert (row["opentelemetry-sdk"], row["opentelemetry-instrumentation"]) == ("1.28.0", "0.49b0")
