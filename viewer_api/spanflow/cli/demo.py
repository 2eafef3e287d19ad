"""The example gateway and its traffic, as further parts of `spanflow up --demo`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spanflow.cli.problem import Problem


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the demo."""

    name: str
    command: list[str]
    environ: dict[str, str]
    ready: Callable[[], bool]
    detail: str


@dataclass(frozen=True, slots=True)
class Demo:
    folder: Path

    @classmethod
    def find(cls) -> Self:
        raise Problem("the example gateway is not installed.")

    def parts(self, environ: Mapping[str, str], viewer_port: int, token: str) -> Iterator[Part]:
        yield from ()
