"""Microseconds of CPU per event for each step of its way, one step after the other in one thread.

Run as `python -m benchmarks.event_budget [ROUNDS]`; prints one JSON object: in Python, and with the native core where
there is one, in turns. Nothing leaves the process: the system calls of a batch are not in it. An event is a start or an
end, so a request with ten checkpoints has 22 of them.
"""

import asyncio
import gc
import sys
import time
from typing import Any

import orjson
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.workload import CHECKPOINTS, traced
from spanflow.span_processors import native
from spanflow.span_processors.archive.flow_draft import Drafter, Drafting
from spanflow.span_processors.archive.flow_limits import FlowLimits
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.pipeline import Pipeline
from spanflow.span_processors.processor import FlowSpanProcessor
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redis.mirror import Mirror
from spanflow.span_processors.redis.mirror_items import MirrorItem
from spanflow.span_processors.redis.redis_link import Resp, resp_of
from spanflow.span_processors.redis.resp_commands import RawCommands
from spanflow.span_processors.redis.resp_replies import Replies
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.intake import Intake
from spanflow.span_processors.stages.sink_runner import SinkRunner
from spanflow.span_processors.tree.prices import NO_PRICES

_REQUESTS = 200
_EVENTS = _REQUESTS * (CHECKPOINTS + 1) * 2
_REPLY = b"$15\r\n1700000000000-0\r\n"
_MODES = {"python": "off", "native": "auto"}


class NoRedis:
    """Takes the bytes of a batch and answers at once."""

    def __init__(self, resp: Resp) -> None:
        self.commands = resp.commands
        self._replies = resp.replies

    def execute(self, commands: RawCommands, deadline: float) -> Replies:
        b"".join(commands.parts)
        replies = self._replies(commands.number)
        assert replies.feed(_REPLY * commands.number)
        return replies

    def time(self, deadline: float) -> float:
        return time.time()

    def close(self) -> None:
        """Nothing is open."""

    forget = close


class NoThread:
    """The steps are taken by hand."""

    started = True

    def ensure_started(self) -> bool:
        return True


def budgets(rounds: int = 7) -> dict[str, dict[str, float]]:
    """The best round of each step: what the work takes when nothing gets in its way. With the core it is Python again
    where there is none."""
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in _MODES}
    for _ in range(rounds):
        for name, mode in _MODES.items():
            measured[name].append(_one_round(mode))
    return {name: _best(rounds) for name, rounds in measured.items()}


def _best(measured: list[dict[str, float]]) -> dict[str, float]:
    best = {step: min(one[step] for one in measured) / _EVENTS * 1e6 for step in measured[0]}
    return {
        "the SDK itself": best["untraced"],
        "append": best["traced"] - best["untraced"],
        "encode": best["encode"],
        "mirror": best["mirror"],
        "complete": best["complete"],
        "archive": best["archive"],
    }


def _one_round(mode: str) -> dict[str, float]:
    settings = Settings(native=mode)
    redactor = Redactor(RedactionPolicy.from_settings(settings))
    process = ProcessInfo(redactor)
    intake = Intake(10**7, 2**40)
    encoder = Encoder(settings, process=process, watched=NoWatchedUsers(), redactor=redactor)
    mirror = Mirror(
        NoRedis(resp_of(native.chosen(mode))), settings, instance_id=lambda: "benchmark", process=process.description
    )
    runner: Any = SinkRunner(mirror)
    runner._thread = NoThread()
    pipeline: Any = Pipeline(intake=intake, encoder=encoder, process=process, mirror=runner)
    pipeline._thread, pipeline._running = NoThread(), True
    untraced = _make_spans(TracerProvider(shutdown_on_exit=False))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FlowSpanProcessor(pipeline))
    with_processor = _make_spans(provider)
    gc.collect()
    gc.freeze()
    encoding = delivering = completing = 0.0
    parts: list[FlowPart] = []
    while len(intake):
        begun = time.thread_time()
        pipeline._encode(intake.take(256))
        pipeline._hand_on()
        encoded = time.thread_time()
        encoder.complete(time.monotonic() + settings.flow_grace + 1)
        between = time.thread_time()
        completing += between - encoded
        parts += encoder.parts
        encoder.parts.clear()
        between = time.thread_time()
        batch: list[MirrorItem] = []
        while runner.counts().waiting:
            batch = runner._take()
            runner._handle(batch, time.monotonic())
        delivering += time.thread_time() - between
        encoding += encoded - begun
    assert len(parts) == _REQUESTS
    begun = time.thread_time()
    drafting = Drafting(Drafter(FlowLimits(), NO_PRICES), parts)
    drafting.finish()
    archiving = time.thread_time() - begun
    assert len(drafting.made) == _REQUESTS
    gc.unfreeze()
    return {
        "untraced": untraced,
        "traced": with_processor,
        "encode": encoding,
        "mirror": delivering,
        "complete": completing,
        "archive": archiving,
    }


def _make_spans(provider: TracerProvider) -> float:
    request = traced(provider.get_tracer("benchmark"))

    async def serve() -> None:
        for number in range(_REQUESTS):
            await request(number)

    begun = time.thread_time()
    asyncio.run(serve())
    return time.thread_time() - begun


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    sys.stdout.write(orjson.dumps(budgets(rounds)).decode() + "\n")


if __name__ == "__main__":
    main()
