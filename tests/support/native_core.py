"""The native core, where this machine has one."""

import inspect
import os
from typing import Any

import pytest

from spanflow.span_processors.native import NativeCore, load
from spanflow.span_processors.redaction.redaction import RedactionPolicy
from spanflow.span_processors.settings import Settings

needs_core = pytest.mark.skipif(load().core is None, reason=f"no native core here: {load().problem}")


def core() -> NativeCore:
    loaded = load().core
    assert loaded is not None
    return loaded


def require_everywhere() -> None:
    """What a test makes without naming `native`, here or in a process that it starts, requires the core."""
    if load().core is None:
        raise pytest.UsageError(f"--native=require: {load().problem}")
    for made in (Settings, RedactionPolicy):
        _set_default(made, "native", "require")
    os.environ["SPANFLOW_NATIVE"] = "require"


def _set_default(made: type, name: str, value: str) -> None:
    initialize: Any = made.__init__  # type: ignore[misc]
    if name in (initialize.__kwdefaults__ or {}):
        initialize.__kwdefaults__[name] = value
        return
    names = [one.name for one in inspect.signature(made).parameters.values() if one.default is not one.empty]
    defaults = list(initialize.__defaults__)
    defaults[names.index(name)] = value
    initialize.__defaults__ = tuple(defaults)
