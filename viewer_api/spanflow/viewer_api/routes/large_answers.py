"""Answers that take a second of an interpreter and some hundred megabytes.

They are made one at a time, in a process of their own: otherwise, all other requests would wait as long.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from spanflow.viewer_api.flows.documents import PackedFlow
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.http.worker_process import WorkerFailed
from spanflow.viewer_api.viewer import Viewer

log = logging.getLogger(__name__)

#: Characters of flows from which on their answer is made in the worker: about two thousand spans.
_LARGE: Final = 1_000_000


async def answer_of(viewer: Viewer, make: Callable[..., bytes], flows: Sequence[PackedFlow], *arguments: Any) -> bytes:
    """What `make`, a module's own function, makes of `flows`. Small ones take a thread."""
    if sum(len(packed.text) for packed in flows) < _LARGE:
        return await asyncio.to_thread(make, flows, *arguments)
    async with viewer.large_trees.place():
        return await in_worker(viewer, make, tuple(flows), *arguments)


async def in_worker(viewer: Viewer, make: Callable[..., bytes], *arguments: Any) -> bytes:
    """Within an acquired slot: the result of `make`, or that of the same call by the previous holder."""
    try:
        return await viewer.large_trees.shared((make, *arguments), lambda: viewer.worker.run(make, *arguments))
    except WorkerFailed as why:
        log.warning("A large answer could not be rendered (%s): %s", make.__name__, why)
        raise Problem(503, "tree_not_made", "This large flow could not be rendered. Try again.") from None
