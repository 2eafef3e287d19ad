"""Whatever lock a thread of the parent holds at the fork, the child does not wait for it."""

import gc
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from spanflow.span_processors import names
from tests.support.forked import in_child
from tests.support.traced_gateway import TracedGateway, flow_id_of

LOCKS = (type(threading.Lock()), type(threading.RLock()))
#: What does not belong to one pipeline, or is recreated by Python itself in a child.
NOT_OURS = (type, types.ModuleType, types.FrameType, types.CodeType, threading.Thread)


def locks_of(root: object) -> list[Any]:
    """Every lock that can be reached from an object, without what belongs to whole modules."""
    seen = {id(vars(module)) for module in list(sys.modules.values()) if hasattr(module, "__dict__")}
    found: list[Any] = []
    waiting: list[Any] = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, NOT_OURS):
            continue
        seen.add(id(thing))
        if isinstance(thing, LOCKS):
            found.append(thing)
        waiting += gc.get_referents(thing)
    return found


@contextmanager
def held(locks: list[Any]) -> Iterator[int]:
    """Hold on another thread those that nobody holds; how many that are."""
    may_release, holding = threading.Event(), threading.Event()
    taken: list[Any] = []

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                if lock.acquire(timeout=0.2):
                    stack.callback(lock.release)
                    taken.append(lock)
            holding.set()
            may_release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(30)
    try:
        yield len(taken)
    finally:
        may_release.set()
        holder.join()


def test_a_child_waits_for_no_lock_that_was_held_at_the_fork(
    redis_url: str, redis_client: Any, postgres_dsn: str, tmp_path: Path
) -> None:
    with TracedGateway(
        redis_url, counted_ids=False, archive_enabled=True, postgres_dsn=postgres_dsn, data_dir=str(tmp_path)
    ) as gateway:
        with gateway.span("POST /ask"):
            pass
        assert gateway.pipeline.force_flush(10)

        def life() -> list[Any]:
            with gateway.span("in a child", attributes={"user.id": "7"}) as own:
                pass
            return [gateway.pipeline.force_flush(10), gateway.pipeline.shutdown(5), flow_id_of(own)]

        with held(locks_of(gateway.pipeline)) as number:
            assert number > 5
            flushed, shut_down, flow_id = in_child(life, within=20)
        assert flushed and shut_down
        assert redis_client.exists(names.flow_stream(flow_id))
        assert gateway.pipeline.force_flush(10)
