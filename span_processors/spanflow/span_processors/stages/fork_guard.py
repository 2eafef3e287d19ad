"""No fork while one of our threads is in the middle of what a child could not finish.

The child would keep a half-initialised module for ever, or wait for ever for the thread that was importing it, and so
would the application's own code in it. The same goes for the locks of OpenSSL, which ignores forks and holds some for
milliseconds the first time.
"""

import ssl
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
#: Methods of Python's `ssl` that call OpenSSL and never wait for a peer, and the function of asyncpg's that does so.
_IN_OPENSSL: Final = ("SSLContext.", "SSLObject.", "create_default_context", "_parse_connect_dsn_and_args")


def prepare_libraries() -> None:
    """Before a thread of ours starts, so that none of them has to do what must not be done during a fork."""
    for name in LATE_IMPORTS:
        import_module(name)
    # The first one makes OpenSSL read its configuration and load its algorithms.
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def wait_until_forkable() -> None:
    """Before a fork, on the thread that forks. What other threads do is not ours to wait for."""
    until = time.monotonic() + _PATIENCE
    # With a fresh turn at the interpreter, which no other thread interrupts between here and the fork.
    time.sleep(0)
    while _one_of_ours_is_unfit() and time.monotonic() < until:
        time.sleep(_PAUSE)


def _one_of_ours_is_unfit() -> bool:
    frames = sys._current_frames()
    own = threading.get_ident()
    return any(
        thread.name.startswith(THREAD_PREFIX) and thread.ident != own and _is_unfit(frames.get(thread.ident or 0))
        for thread in threading.enumerate()
    )


def _is_unfit(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _IMPORTING or code.co_qualname.startswith(_IN_OPENSSL):
            return True
        frame = frame.f_back
    return False
