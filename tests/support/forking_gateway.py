"""A gateway that forks in the middle of its work. Run as `python -m tests.support.forking_gateway REDIS_URL WHEN`.

`WHEN` is `busy` (threads append spans at the moment of the fork) or `before` (no span yet, as under a preloading
server). Prints one JSON object with what the parent and the child saw.
"""

import os
import signal
import sys
import threading
from typing import Any

import orjson

from tests.support.traced_gateway import TracedGateway, flow_id_of


def numbers(gateway: TracedGateway) -> dict[str, Any]:
    counts = gateway.pipeline.counters
    mirror = counts.sinks["mirror"]
    return {
        "balanced": counts.intake.balanced and mirror.balanced,
        "waiting": counts.intake.waiting + mirror.waiting,
        "accepted": counts.intake.accepted,
        "dropped": {**counts.intake.dropped, **mirror.dropped},
        "instance": gateway.pipeline.instance_id,
    }


def in_child(gateway: TracedGateway, open_span: Any, write_to: int) -> None:
    at_birth = numbers(gateway)
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("spanflow")]
    with gateway.span("in the child", attributes={"user.id": "7"}) as own:
        pass
    if open_span is not None:
        # Open at the fork: both processes end it.
        gateway.end(open_span)
    flushed = gateway.pipeline.force_flush(10)
    told = {
        "at_birth": at_birth,
        "threads_at_birth": threads,
        "flow": flow_id_of(own),
        "flushed": flushed,
        "after": numbers(gateway),
        "shut_down": gateway.pipeline.shutdown(5),
    }
    os.write(write_to, orjson.dumps(told))


def main() -> None:
    signal.alarm(40)
    url, when = sys.argv[1:]
    gateway = TracedGateway(url, counted_ids=False)
    stop = threading.Event()
    flows: list[list[str]] = [[] for _ in range(3)]
    open_span = None

    def work(own: list[str]) -> None:
        while not stop.is_set() and len(own) < 400:
            with gateway.span("POST /ask", attributes={"user.id": "7"}) as root, gateway.span("tool_call", root):
                pass
            own.append(flow_id_of(root))

    workers = [threading.Thread(target=work, args=(own,)) for own in flows]
    if when == "busy":
        open_span = gateway.start("open at the fork")
        gateway.pipeline.force_flush(5)
        for worker in workers:
            worker.start()
        while not all(len(own) > 20 for own in flows):
            stop.wait(0.001)

    read_from, write_to = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            in_child(gateway, open_span, write_to)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write_to)
    with os.fdopen(read_from, "rb") as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    stop.set()
    for worker in workers:
        if worker.ident is not None:
            worker.join()
    if open_span is not None:
        gateway.end(open_span)
    with gateway.span("in the parent") as own:
        pass
    result = {
        "child": orjson.loads(told),
        "child_status": status,
        "flows": sum(flows, []),
        "open": flow_id_of(open_span) if open_span is not None else None,
        "own": flow_id_of(own),
        "flushed": gateway.pipeline.force_flush(10),
        "parent": numbers(gateway),
        "shut_down": gateway.pipeline.shutdown(5),
    }
    sys.stdout.write(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
