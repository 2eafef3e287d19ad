"""A real Collector, Jaeger and Prometheus, where the machine has them: on PATH, or built by `make interop-tools`.

`make test` builds the Collector before its tests: in the middle of one it would take longer than a test may.
"""

from pathlib import Path

import pytest

from scripts import interop_tools
from scripts.interop_tools import NotBuilt


def collector() -> Path:
    try:
        return interop_tools.collector(build=False)
    except NotBuilt as why:
        pytest.skip(str(why))


def jaeger() -> Path:
    try:
        return interop_tools.jaeger(build=False)
    except NotBuilt as why:
        pytest.skip(str(why))


def prometheus() -> Path:
    try:
        return interop_tools.prometheus(build=False)
    except NotBuilt as why:
        pytest.skip(str(why))
