"""`spanflow doctor`: what is wrong with this installation, and how to repair it."""

import argparse

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: Arguments, console: Console) -> int:
    return 0


COMMAND = Command(name="doctor", help="check", description="check", run=run, add_arguments=add_arguments)
