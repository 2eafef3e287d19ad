"""`spanflow compare`: two flows beside each other, or one beside the usual one of its kind."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id

_PIPE_COLUMNS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("first", help="id of the baseline flow")
    parser.add_argument("second", nargs="?", help="id of the other flow")
    parser.add_argument(
        "--usual", action="store_true", help="compare with what is usual for its kind instead of another flow"
    )
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.comparison_lines import comparison_lines
    from spanflow.cli.terminal.tree_lines import Style
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for

    if arguments.usual == (arguments.second is not None):
        raise WrongUse("Name another flow, or --usual.")
    viewer = client(arguments, os.environ, console)
    first = _flow_id(arguments.first)
    if arguments.usual:
        result = viewer.get(f"/api/v1/flows/{quote(first, safe='')}/usual")
    else:
        result = viewer.get("/api/v1/flows/compare", {"a": first, "b": _flow_id(arguments.second)})
    if arguments.json:
        console.result(json.dumps(result, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    columns = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else _PIPE_COLUMNS
    heads = ("usual", "flow", "change") if arguments.usual else ("first", "second", "change")
    for line in comparison_lines(result, Style(paint, max(60, columns)), heads):
        console.result(line)
    counts = ", ".join(f"{count} {status}" for status, count in result["counts"].items() if count)
    console.result(paint(f"\n{counts}", "dim"))
    if arguments.usual:
        console.note(_measured_by(result["a"]))
    return 0


def _measured_by(usual: Mapping[str, Any]) -> str:
    flows = f"{usual['flows']} flows of its kind that went well in the week before"
    return f"Compared with {flows}." if usual["enough"] else f"Too few to say what is unusual or missing: {flows}."


def _flow_id(text: str) -> str:
    try:
        return as_id(text)
    except IdError as why:
        raise WrongUse(f"{text!r} is no id of a flow: {why}.") from None


COMMAND = Command(
    name="compare",
    help="compare two flows, or one with what is usual for its kind",
    description="Compare two flows, running or past, step by step: what is slower, faster, changed, added or removed, "
    "and the waiting time in between. With --usual, compare one flow with what is usual for its kind.",
    run=run,
    add_arguments=add_arguments,
)
