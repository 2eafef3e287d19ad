"""The native core (`native/`, the package `spanflow-core`): whether it is used is decided here and nowhere else.

Python does the same work, and stays the reference: what the core computes is equal to it, byte for byte, or is an
answer that Python may ignore. The core has no threads, and keeps only what Python said before, so that a fork needs
nothing. It refuses to load in a sub-interpreter; there Python is used.
"""

import functools
import importlib
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from packaging.version import Version

from spanflow.span_processors.setting_table import SettingsError

_log = logging.getLogger(__name__)

_DISTRIBUTION: Final = "spanflow"
_MODULE: Final = "spanflow_core"
#: What this module calls. A core with another interface is not used. Releases differ in their version already; this is
#: for checkouts, where the version stays the same from change to change.
_INTERFACE: Final = 3


class NativeUnavailableError(SettingsError):
    """`SPANFLOW_NATIVE=require`, and there is no usable core."""


class NativeCore:
    """The core's functions. No fault in them gets to a caller: after the first one Python serves, until the process
    ends."""

    def __init__(self, module: Any) -> None:
        self.version: str = module.VERSION
        #: Faults of the core: calls that raised or panicked.
        self.faults = 0
        self._broken = False
        self._is_clean = module.is_clean
        self._module = module

    def is_clean(self, text: str) -> bool:
        """Whether a text certainly holds no secret. False says nothing: then Python's redactor decides."""
        if self._broken:
            return False
        try:
            return self._is_clean(text) is True
        except Exception:
            self._break()
            return False

    def attribute_encoder(self, *policy: Any) -> Callable[[Mapping[str, Any], int], Any]:
        """A function that encodes attributes by a redaction policy. It gives None where Python decides."""
        encode: Callable[[Mapping[str, Any], int], Any] | None = None

        def encoded(attributes: Mapping[str, Any], budget: int) -> Any:
            nonlocal encode
            if self._broken:
                return None
            try:
                if encode is None:
                    encode = self._module.AttributeEncoder(*policy).encode
                return encode(attributes, budget)
            except Exception:
                self._break()
                return None

        return encoded

    def packed_entries(self, batch: Any, at: int, now: float, kind: type) -> Any:
        """Entries of a batch from place `at` on as XADD, and the place of the first item that Python has to see to."""
        return self._answer("pack_entries", batch, at, now, kind)

    def packed_command(self, words: tuple[bytes, ...]) -> Any:
        """A command as it goes to Redis."""
        return self._answer("pack_command", words)

    def reply_reader(self, wanted: int) -> Any:
        """What reads so many replies of Redis."""
        return self._answer("ReplyReader", wanted)

    def fed(self, reader: Any, chunk: bytes) -> Any:
        """Whether `reader` has read all of its replies now, and what is wrong with them."""
        return None if reader is None else self._answer("feed", chunk, of=reader)

    def listed(self, reader: Any, refusal: Callable[[bytes], Exception]) -> Any:
        """The replies that `reader` has read."""
        return self._answer("list", refusal, of=reader)

    def _answer(self, what: str, *given: Any, of: Any = None) -> Any:
        """None once there was a fault."""
        if self._broken:
            return None
        try:
            return getattr(of or self._module, what)(*given)
        except Exception:
            self._break()
            return None

    def _break(self) -> None:
        self.faults += 1
        self._broken = True
        _log.exception("the native core failed and is not used any more in this process; Python is used instead")


class Loaded(NamedTuple):
    """The core of this installation, or why there is none."""

    core: NativeCore | None
    problem: str = ""


@functools.cache
def load() -> Loaded:
    """Load the core, once per process."""
    try:
        module = importlib.import_module(_MODULE)
        interface = module.INTERFACE
        core = NativeCore(module)
    except ModuleNotFoundError:
        return Loaded(None, f"{_MODULE} is not installed")
    except Exception as why:  # of another platform, in a sub-interpreter, half installed
        return Loaded(None, f"{_MODULE} cannot be loaded ({type(why).__name__}: {why})")
    if interface != _INTERFACE:
        return Loaded(None, f"{_MODULE} {core.version} has interface {interface}, and this Spanflow needs {_INTERFACE}")
    own = version(_DISTRIBUTION)
    if Version(core.version) != Version(own):
        return Loaded(None, f"{_MODULE} {core.version} is not of this release, {own}")
    return Loaded(core)


@functools.cache
def chosen(mode: str) -> NativeCore | None:
    """The core if the setting `native` allows it; None where Python is used. Logs once which it is.

    Raises `NativeUnavailableError` where it is required and cannot be used.
    """
    if mode == "off":
        return None
    core, problem = load()
    if core is not None:
        _log.info("native core %s is used (SPANFLOW_NATIVE=%s)", core.version, mode)
    elif mode == "require":
        raise NativeUnavailableError(f"SPANFLOW_NATIVE: 'require' cannot be used; {problem} (auto would use Python).")
    else:
        _log.info("Python is used instead of the native core: %s (SPANFLOW_NATIVE=%s)", problem, mode)
    return core


def faults() -> int:
    """Faults of the core in this process."""
    core = load.cache_info().currsize and load().core
    return core.faults if core else 0
