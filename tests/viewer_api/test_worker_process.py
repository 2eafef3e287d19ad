"""The process that does what would hold the interpreter for a second."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from spanflow.viewer_api.http.worker_process import WorkerFailed, WorkerProcess
from tests.support.poll import eventually_async

pytestmark = pytest.mark.anyio


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with closing(WorkerProcess()) as made:
        yield made


async def test_it_starts_with_the_first_call_and_serves_the_next_ones(worker: WorkerProcess) -> None:
    assert worker.pid is None
    answers = [await worker.run(bytes.upper, text) for text in (b"a", b"b" * 5_000_000, b"")]
    assert answers == [b"A", b"B" * 5_000_000, b""]
    assert worker.started == 1


async def test_calls_at_the_same_time_each_get_their_own_answer(worker: WorkerProcess) -> None:
    texts = [f"call {number} ".encode() * 1000 for number in range(8)]
    assert await asyncio.gather(*(worker.run(bytes.upper, text) for text in texts)) == [text.upper() for text in texts]
    assert worker.started == 1


async def test_what_a_call_raises_is_told_and_harms_no_other(worker: WorkerProcess) -> None:
    with pytest.raises(WorkerFailed, match="UnicodeDecodeError"):
        await worker.run(eval, "b'\\xff'.decode()")
    assert await worker.run(bytes.upper, b"a") == b"A"
    assert worker.started == 1


async def test_what_takes_too_long_is_ended() -> None:
    with closing(WorkerProcess(time_limit=0.5)) as worker:
        with pytest.raises(WorkerFailed, match=r"not done after 0\.5 s"):
            await worker.run(time.sleep, 60)  # type: ignore[arg-type]
        # The process that takes its place answers the next call, not the one before.
        await eventually_async(lambda: _answers(worker))
        assert worker.started >= 2


async def _answers(worker: WorkerProcess) -> bool:
    try:
        return await worker.run(bytes.upper, b"a") == b"A"
    except WorkerFailed:
        return False


async def test_a_call_that_nobody_waits_for_any_more_is_ended(worker: WorkerProcess) -> None:
    call = asyncio.ensure_future(worker.run(time.sleep, 60))  # type: ignore[arg-type]
    await eventually_async(lambda: worker.pid is not None)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await worker.run(bytes.upper, b"a") == b"A"


async def test_it_ends_when_it_is_not_needed_and_comes_back() -> None:
    with closing(WorkerProcess(quiet_time=0.05)) as worker:
        await worker.run(bytes.upper, b"a")
        await eventually_async(lambda: worker.pid is None)
        assert await worker.run(bytes.upper, b"a") == b"A"
        assert worker.started == 2


async def test_it_is_given_no_secret_of_the_environment(worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFLOW_VIEWER_TOKEN", "a-token-for-tests-0123456789")
    found = await worker.run(eval, "repr([name for name in __import__('os').environ if 'SPANFLOW' in name]).encode()")
    assert found == b"[]"


async def test_what_is_printed_there_does_not_get_among_the_answers(worker: WorkerProcess) -> None:
    assert await worker.run(eval, "(print('hush', flush=True), b'answer')[1]") == b"answer"
    assert await worker.run(bytes.upper, b"a") == b"A"


async def test_a_program_that_cannot_be_started_is_told(worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(WorkerFailed, match="cannot be started"):
        await worker.run(bytes.upper, b"a")
