"""`spanflow settings`: the table of settings, with what each one is right now."""

import argparse
import json
import os

from spanflow.cli import settings_table
from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only settings whose name or description contains all these words"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--markdown", action="store_true", help="print the documentation page, docs/settings.md")


def run(arguments: Arguments, console: Console) -> int:
    if arguments.markdown:
        console.result(settings_table.markdown())
    elif arguments.json:
        for row in settings_table.records(os.environ, arguments.words):
            console.result(json.dumps(row, ensure_ascii=False))
    elif text := settings_table.plain(os.environ, arguments.words):
        console.result(text)
    else:
        raise Problem(f"no setting has the words {' '.join(arguments.words)!r}.")
    return 0


COMMAND = Command(
    name="settings",
    help="list all settings with default and current value",
    description="List all settings: environment variable, current value or default, and description.",
    run=run,
    add_arguments=add_arguments,
)
