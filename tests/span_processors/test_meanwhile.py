"""Work between the answers of a server: a step at a time, and none once nobody waits any more."""

import asyncio

import pytest

from spanflow.span_processors.archive.meanwhile import meanwhile


class Steps:
    def __init__(self, number: int) -> None:
        self.left = number

    def step(self) -> bool:
        self.left -= 1
        return self.left > 0


@pytest.mark.anyio
async def test_steps_are_taken_while_the_loop_would_wait() -> None:
    steps = Steps(5)
    with meanwhile(steps.step):
        await asyncio.sleep(0.05)
    assert steps.left == 0


@pytest.mark.anyio
async def test_an_answer_is_taken_between_two_steps() -> None:
    steps = Steps(1_000_000)
    with meanwhile(steps.step):
        await asyncio.sleep(0.01)
    assert 0 < steps.left < 1_000_000


@pytest.mark.anyio
async def test_no_step_is_taken_after_the_block() -> None:
    steps = Steps(1_000_000)
    with pytest.raises(OSError, match="gone"), meanwhile(steps.step):
        await asyncio.sleep(0)
        raise OSError("gone")
    left = steps.left
    await asyncio.sleep(0.01)
    assert steps.left == left
