"""Microseconds of CPU per span for its start and its end as events, in Python and with the native core, in one process.

Run as `python -m benchmarks.encoder_cost [ROUNDS]`; prints one JSON object. Both take turns, span by span alike; values
differ from span to span as those of real requests do, so caches of whole values help neither.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider

from spanflow.span_processors import native
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.identity import NOBODY
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of

_SPANS: Final = 500
_PROSE: Final = "The order that was asked about has been sent, and will be there on Monday. "


def _nested(levels: int, number: int) -> Any:
    if not levels:
        return f"item {number}"
    return {"number": number, "share": 0.5, "below": [_nested(levels - 1, number), {"note": f"of {number}"}]}


#: What spans of a kind hold, by their number.
KINDS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "a usual span, the same values again and again": lambda number: {
        "flow.checkpoint.type": "tool_call",
        "flow.data.mcp": "qa_mcp",
        "flow.data.tool": "list_snapshots",
        "flow.data.call": number % 5,
    },
    "a usual span with a number of its own": lambda number: {
        "flow.checkpoint.type": "usage_check",
        "flow.data.limit": 1000,
        "flow.data.remaining": number,
    },
    "a usual span with texts of its own": lambda number: {
        "http.request.method": "GET",
        "url.path": f"/orders/{number}",
        "request.id": f"r-{number:x}",
        "order": number,
    },
    "a model's call with a whole double": lambda number: {
        "gen_ai.request.model": "example-large",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.usage.input_tokens": number,
    },
    "a prompt of 8,000 characters": lambda number: {
        "gen_ai.request.model": "example-large",
        "gen_ai.input.messages": f"{number} {_PROSE * 106}",
    },
    "an object of eight levels": lambda number: {"order": _nested(7, number)},
}
_MODES: Final = {"python_us": "off", "native_us": "auto"}


def cost(rounds: int) -> dict[str, dict[str, float]]:
    """The best of the rounds, in Python and with the core; with the core it is Python again where there is none."""
    best = {kind: dict.fromkeys(_MODES, float("inf")) for kind in KINDS}
    for _ in range(rounds):
        for kind, attributes in KINDS.items():
            for figure, mode in _MODES.items():
                best[kind][figure] = min(best[kind][figure], _one_round(attributes, mode))
    return best


def _one_round(attributes: Callable[[int], dict[str, Any]], mode: Any) -> float:
    redactor = Redactor(RedactionPolicy(content="full", native=mode, max_flow_text=10**9))
    encoder = Encoder(Settings(), process=ProcessInfo(redactor), watched=NoWatchedUsers(), redactor=redactor)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("benchmark")
    spent = 0.0
    for number in range(-50, _SPANS):
        span: Any = tracer.start_span("step", Context())
        # Also what the SDK would refuse: Spanflow's own spans keep objects.
        span._attributes._dict.update(attributes(number))
        before = attributes_of(span)
        begun = time.thread_time()
        encoder.started(span, "step", before, NOBODY, 0.0)
        started = time.thread_time() - begun
        span.end()
        after = attributes_of(span)
        begun = time.thread_time()
        encoder.ended(span, after, 0.0)
        if number >= 0:  # the first ones fill caches
            spent += started + time.thread_time() - begun
    return spent / _SPANS * 1e6


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measured = {"core": native.load().core is not None, "kinds": cost(rounds)}
    sys.stdout.write(orjson.dumps(measured).decode() + "\n")


if __name__ == "__main__":
    main()
