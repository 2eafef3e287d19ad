"""A real Collector and a real Jaeger, where the machine has them: on PATH, or by `make interop-tools`."""

import os
from pathlib import Path

import pytest

from scripts import interop_tools
from scripts.interop_tools import NotBuilt

#: Jaeger takes an hour of two processors: it is built only where that is asked for.
_BUILD_JAEGER = "SPANFLOW_TEST_BUILD_JAEGER"


def collector() -> Path:
    """Built by the first test that needs it, with Go."""
    try:
        return interop_tools.collector()
    except NotBuilt as why:
        pytest.skip(str(why))


def jaeger() -> Path:
    try:
        return interop_tools.jaeger(build=bool(os.environ.get(_BUILD_JAEGER)))
    except NotBuilt as why:
        pytest.skip(str(why))
