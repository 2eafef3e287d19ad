"""What every command of `spanflow` is made of."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from spanflow.cli.console import Console

Arguments = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the command table. `extra` names what must be installed besides the bare install."""

    name: str
    help: str
    description: str
    run: Callable[[Arguments, Console], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    extra: str | None = None
    #: Older names that go on working.
    aliases: tuple[str, ...] = ()
