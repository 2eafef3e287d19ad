"""`spanflow funnel`: how far flows come through the gates."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime

from spanflow.cli.command import Arguments, Command
from spanflow.cli.commands.stats import tell_range, took
from spanflow.cli.console import Console

_WAYS = ("reached", "passed", "ended", "denied", "failed", "abandoned")
_HEAD = ("GATE", *(way.upper() for way in _WAYS), "P50", "P95")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where
    from spanflow.cli.terminal.flow_filters import add_filters

    add_filters(parser)
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.flow_filters import stated_filters
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for, table

    asked = stated_filters(arguments, datetime.now(UTC))
    result = client(arguments, os.environ, console).get("/api/v1/statistics/funnel", asked)
    if arguments.json:
        console.result(json.dumps(result, ensure_ascii=False))
        return 0
    tell_range(result, console)
    rows = [
        [gate["gate"], *(str(gate[way]["count"]) for way in _WAYS), took(gate["p50_ms"]), took(gate["p95_ms"])]
        for gate in result["gates"]
    ]
    head, *lines = table(_HEAD, rows)
    console.result(paint_for(sys.stdout)(head, "dim"))
    for line in lines:
        console.result(line)
    return 0


COMMAND = Command(
    name="funnel",
    help="show how many flows pass each gate, and where they end",
    description="Show how many finished flows reached each gate, and what happened there: passed, completed, denied, "
    "failed or abandoned.",
    run=run,
    add_arguments=add_arguments,
)
