"""What is installed, and whether it fits together."""

import importlib.util
import platform
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distributions, requires, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spanflow.cli.checks.finding import Finding, Situation, note, ok, problem, warning
from spanflow.cli.extras import EMBEDDED, VIEWER, installed
from spanflow.span_processors import native

_FAMILY: Final = "opentelemetry-"
_NATIVE_REPAIR: Final = (
    "Install spanflow[native]; in a checkout: make env, with cargo on PATH. Or set SPANFLOW_NATIVE=off."
)


class Versions:
    """Spanflow's own requirements, held against what is really there: another install may have moved it."""

    title = "versions"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        yield ok(f"Spanflow {version('spanflow')}, Python {platform.python_version()} on {platform.system()}")
        for line in requires("spanflow") or []:
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            try:
                there = version(wanted.name)
            except PackageNotFoundError:
                yield problem(f"{wanted.name} is missing", f"pip install '{wanted.name}{wanted.specifier}'")
                continue
            if not wanted.specifier.contains(there, prereleases=True):
                repair = f"pip install '{wanted.name}{wanted.specifier}'"
                yield problem(f"{wanted.name} {there} is installed, Spanflow needs {wanted.specifier}", repair)
            else:
                yield ok(f"{wanted.name} {there}")


class OpenTelemetrySet:
    """OpenTelemetry's packages pin each other, so installing one more may leave others with what they do not fit."""

    title = "OpenTelemetry packages"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        family, misfits = {"spanflow"}, []
        for distribution in distributions():
            name = canonicalize_name(distribution.name)
            if name.startswith(_FAMILY):
                family.add(name)
            for wanted, there in _unmet(distribution):
                family.add(name if name.startswith(_FAMILY) else f"{name}=={distribution.version}")
                misfits.append(
                    f"{name} {distribution.version} needs {wanted.name}{wanted.specifier}, and {there} is installed"
                )
        if misfits:
            yield problem("; ".join(sorted(misfits)), f"pip install {' '.join(sorted(family))}")
        else:
            yield ok(f"all {len(family) - 1} fit together; the SDK is {version('opentelemetry-sdk')}")


def _unmet(distribution: Distribution) -> Iterator[tuple[Requirement, str]]:
    """What an installed package needs of OpenTelemetry's, and what is there instead. Extras are left out."""
    for line in distribution.requires or []:
        wanted = Requirement(line)
        if not canonicalize_name(wanted.name).startswith(_FAMILY):
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(wanted.name)
        except PackageNotFoundError:
            there = "none"
        if there == "none" or not wanted.specifier.contains(there, prereleases=True):
            yield wanted, there


class NativeCore:
    """Whether the native core is used here, and why not."""

    title = "native core"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        mode = "off" if situation.gateway is None else situation.gateway.native
        core, missing = native.load()
        if mode == "off":
            there = "is not installed" if core is None else f"{core.version} is installed"
            yield ok(f"Python is used; the native core {there} (SPANFLOW_NATIVE=off)")
        elif core is not None:
            yield ok(f"{core.version} is used (SPANFLOW_NATIVE={mode})")
        elif mode == "require":
            yield problem(f"is required, and {missing}: gateways from here are not traced", _NATIVE_REPAIR)
        else:
            yield note(f"Python is used: {missing} (SPANFLOW_NATIVE={mode})", _NATIVE_REPAIR)


class Extras:
    """Which of Spanflow's roles this environment can play."""

    title = "extras"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        for extra in (VIEWER, EMBEDDED):
            if installed(extra):
                yield ok(f"{extra} is installed")
            else:
                yield note(f"{extra} is not installed; a gateway does not need it", f"pip install '{extra}'")


class Dashboard:
    """Whether the built dashboard is in this installation."""

    title = "dashboard"

    async def run(self, situation: Situation) -> AsyncIterator[Finding]:
        if not installed(VIEWER):
            return
        spec = importlib.util.find_spec("spanflow.viewer_api")
        folders = list(spec.submodule_search_locations or []) if spec else []
        if any((Path(folder) / "dashboard" / "index.html").exists() for folder in folders):
            yield ok("the dashboard is built")
        else:
            repair = "In a checkout: make web. Otherwise reinstall the wheel: pip install --force-reinstall spanflow"
            yield warning("the dashboard is not built; the viewer serves its API only", repair)
