"""The native core, where this machine has one."""

import pytest

from spanflow.span_processors.native import NativeCore, load

needs_core = pytest.mark.skipif(load().core is None, reason=f"no native core here: {load().problem}")


def core() -> NativeCore:
    loaded = load().core
    assert loaded is not None
    return loaded
