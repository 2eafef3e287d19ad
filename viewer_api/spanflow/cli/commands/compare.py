"""`spanflow compare`: two flows beside each other."""

import argparse
import json
import os
import shutil
import sys

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id

_PIPE_COLUMNS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("first", help="id of the flow that the other one is measured against")
    parser.add_argument("second", help="id of the other flow")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.comparison_lines import comparison_lines
    from spanflow.cli.terminal.tree_lines import Style
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for

    ids = {name: _flow_id(value) for name, value in (("a", arguments.first), ("b", arguments.second))}
    result = client(arguments, os.environ, console).get("/api/v1/flows/compare", ids)
    if arguments.json:
        console.result(json.dumps(result, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    columns = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else _PIPE_COLUMNS
    for line in comparison_lines(result, Style(paint, max(60, columns))):
        console.result(line)
    counts = ", ".join(f"{count} {status}" for status, count in result["counts"].items() if count)
    console.result(paint(f"\n{counts}", "dim"))
    return 0


def _flow_id(text: str) -> str:
    try:
        return as_id(text)
    except IdError as why:
        raise WrongUse(f"{text!r} is no id of a flow: {why}.") from None


COMMAND = Command(
    name="compare",
    help="show two flows beside each other: what is slower, changed, new or gone",
    description="Show two flows, running or past, beside each other, step by step: what is slower, faster, changed, "
    "new or gone, and how long nothing ran in between.",
    run=run,
    add_arguments=add_arguments,
)
