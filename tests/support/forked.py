"""Do something in a forked child of the test's own process, and hear of it."""

import os
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import orjson


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child (as JSON). An AssertionError tells what went wrong there."""
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
    with os.fdopen(read_from, "rb") as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, told.decode()
    return orjson.loads(told)
