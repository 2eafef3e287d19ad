"""`spanflow settings`: the table of settings, with what each one is right now."""

import argparse
import os

from spanflow.cli import settings_table
from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="print the documentation page, docs/settings.md")


def run(arguments: Arguments, console: Console) -> int:
    console.result(settings_table.markdown() if arguments.markdown else settings_table.plain(os.environ))
    return 0


COMMAND = Command(
    name="settings",
    help="list every setting, its default and its present value",
    description="List every setting: environment variable, present value or default, and what it does.",
    run=run,
    add_arguments=add_arguments,
)
