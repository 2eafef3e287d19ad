"""No fork while one of our threads imports a module.

The child would keep the half-initialised module for ever, or wait for ever for the thread that was importing it, and
so would the application's own code in it.
"""

import sys
import threading
import time
from importlib import import_module
from types import FrameType
from typing import Final

#: All threads that do our work have such a name.
THREAD_PREFIX: Final = "spanflow-"
#: What the libraries that work on our threads import at first use, and the standard library for them: looking a name
#: up, the version of redis-py, a traceback in the log, an event loop's own threads.
LATE_IMPORTS: Final = (
    "concurrent.futures.thread",
    "email.feedparser",
    "email.parser",
    "encodings.idna",
    "encodings.punycode",
    "tokenize",
)
#: How long a fork waits at most.
_PATIENCE: Final = 0.5
_PAUSE: Final = 0.001
_IMPORTING: Final = "<frozen importlib._bootstrap>"


def import_ahead() -> None:
    """Before a thread of ours starts, so that none of them has to import anything."""
    for name in LATE_IMPORTS:
        import_module(name)


def wait_for_imports() -> None:
    """Before a fork, on the thread that forks. Other threads' imports are not ours to wait for."""
    until = time.monotonic() + _PATIENCE
    while _one_of_ours_imports() and time.monotonic() < until:
        time.sleep(_PAUSE)


def _one_of_ours_imports() -> bool:
    frames = sys._current_frames()
    own = threading.get_ident()
    return any(
        thread.name.startswith(THREAD_PREFIX) and thread.ident != own and _is_importing(frames.get(thread.ident or 0))
        for thread in threading.enumerate()
    )


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False
