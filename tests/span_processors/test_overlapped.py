"""Work that overlaps with waiting: a step at a time, and none after the block."""

import asyncio

import pytest

from spanflow.span_processors.archive.overlapped import overlapped


class Steps:
    def __init__(self, number: int) -> None:
        self.left = number

    def step(self) -> bool:
        self.left -= 1
        return self.left > 0


@pytest.mark.anyio
async def test_steps_are_taken_while_the_loop_would_wait() -> None:
    steps = Steps(5)
    with overlapped(steps.step):
        await asyncio.sleep(0.05)
    assert steps.left == 0


@pytest.mark.anyio
async def test_an_answer_is_taken_between_two_steps() -> None:
    steps = Steps(1_000_000)
    with overlapped(steps.step):
        await asyncio.sleep(0.01)
    assert 0 < steps.left < 1_000_000


@pytest.mark.anyio
async def test_no_step_is_taken_after_the_block() -> None:
    steps = Steps(1_000_000)
    with pytest.raises(OSError, match="gone"), overlapped(steps.step):
        await asyncio.sleep(0)
        raise OSError("gone")
    left = steps.left
    await asyncio.sleep(0.01)
    assert steps.left == left
