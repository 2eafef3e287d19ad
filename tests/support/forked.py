"""Do something in a forked child of the test's own process, and hear of it."""

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import orjson


def in_child(work: Callable[[], Any], within: float = 60) -> Any:
    """What `work` returns in a forked child (as JSON). An AssertionError tells what went wrong there.

    A child that takes longer than `within` seconds, be it in a hook of somebody's before `work`, is killed.
    """
    read_from, write_to = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads: a gateway's server does it all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read_from)
            os.write(write_to, orjson.dumps(work()))
            status = 0
        except BaseException:
            os.write(write_to, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(write_to)
    if not select.select([read_from], [], [], within)[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read_from, "rb") as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, told.decode() or f"the child ended by {status} without a word"
    return orjson.loads(told)
