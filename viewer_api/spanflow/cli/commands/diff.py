"""`spanflow diff`: what is different about some flows."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    for option, text in (
        ("--a", "filter of the group in question, such as outcome=denied; repeatable"),
        ("--b", "filter of the baseline group"),
        ("--both", "filter of both groups, such as since=3d"),
    ):
        parser.add_argument(option, action="append", default=[], metavar="FILTER=VALUE", help=text)
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.flow_filters import filter_pairs
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import clean, cut, padded, paint_for

    now = datetime.now(UTC)
    asked: dict[str, list[str]] = {}
    for prefix, given in (("a.", arguments.a), ("b.", arguments.b), ("", arguments.both)):
        for name, value in filter_pairs(given, now):
            asked.setdefault(prefix + name, []).append(value)
    result = client(arguments, os.environ, console).get("/api/v1/flows/differences", asked)
    if arguments.json:
        console.result(json.dumps(result, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    for name in ("a", "b"):
        of = "" if result[name]["complete"] else ", a sample"
        console.result(paint(f"{name}: {result[name]['sampled']} flows{of}", "dim"))
    empty = [f"Group {name} has no flows." for name in ("a", "b") if not result[name]["sampled"]]
    if not result["differences"]:
        console.note(" ".join(empty) or "Nothing differs by more than chance.")
    for each in result["differences"]:
        shares = f"{each['a']['share']:>7.1%}{each['b']['share']:>8.1%}  "
        points = f"{100 * each['difference']:>+6.1f} pp"
        label = f"{each['attribute']} = {cut(clean(each['value']), 60)}"
        filters = " ".join(f"{name}={clean(value)}" for name, value in each["filter"].items())
        console.result(f"{points}{shares}{padded(label, 48)} {paint(filters, 'dim')}".rstrip())
    for each in result["hidden"]:
        why = "set by the filters" if each["reason"] == "asked_for" else f"{each.get('values')} different values"
        console.result(paint(f"not compared: {each['attribute']} ({why})", "dim"))
    return 0


COMMAND = Command(
    name="diff",
    help="show what differs between two groups of flows, such as slow ones and the rest",
    description="Show what differs between two groups of flows: how often each attribute value occurs in each, largest "
    "difference first. Filters are those of the API's list of flows.",
    run=run,
    add_arguments=add_arguments,
)
