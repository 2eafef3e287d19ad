"""How fast things happen here: like in the world, or at once in a test."""

import asyncio
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Stretches every delay by `scale`: 1 is realistic, 0 does not wait."""

    scale: float = 1.0

    @classmethod
    def from_environ(cls) -> "Pace":
        return cls(max(0.0, float(os.environ.get("EXAMPLE_GATEWAY_PACE", "1"))))

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.scale)
