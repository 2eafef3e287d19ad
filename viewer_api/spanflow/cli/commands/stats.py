"""`spanflow stats`: how many flows and steps, how long they take, and what they cost."""

import argparse
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console

#: By what they are grouped, and the route that knows it.
_GROUPS = {
    "checkpoint": "steps",
    "step": "steps",
    "tool": "steps",
    "mcp_server": "steps",
    "model": "steps",
    "none": "flows",
    "source": "flows",
    "user": "flows",
}
_HEAD = ("WHAT", "COUNT", "FLOWS", "ERRORS", "DENIED", "P50", "P90", "P95", "P99", "TOTAL", "SELF", "TOKENS", "COST")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where
    from spanflow.cli.terminal.flow_filters import add_filters

    parser.add_argument("--by", choices=sorted(_GROUPS), default="checkpoint", help="group by (%(default)s)")
    parser.add_argument(
        "--sort",
        choices=("count", "total_ms", "self_ms", "p95_ms", "tokens", "cost"),
        default="count",
        help="sort by (%(default)s); self_ms shows where the time goes",
    )
    parser.add_argument("--interval", choices=("minute", "hour", "day"), help="with --json: include a time series")
    parser.add_argument("--limit", type=int, default=20, help="maximum number of lines (%(default)s)")
    add_filters(parser)
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.flow_filters import stated_filters
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for, table

    asked = {
        **stated_filters(arguments, datetime.now(UTC)),
        "group_by": arguments.by,
        "sort": arguments.sort,
        "interval": arguments.interval,
        "limit": max(1, arguments.limit),
    }
    result = client(arguments, os.environ, console).get(f"/api/v1/statistics/{_GROUPS[arguments.by]}", asked)
    if arguments.json:
        console.result(json.dumps(result, ensure_ascii=False))
        return 0
    tell_range(result, console)
    columns = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else None
    by_model = arguments.by == "model"
    rows = [_row(group) + (_first_token(group) if by_model else []) for group in result["groups"]]
    head, *lines = table((*_HEAD, "1ST TOKEN") if by_model else _HEAD, rows, columns=columns)
    console.result(paint_for(sys.stdout)(head, "dim"))
    for line in lines:
        console.result(line)
    return 0


def tell_range(answer: dict[str, Any], console: Console) -> None:
    """What was counted, and what is not yet."""
    console.note(f"Flows that began from {answer['since']} on and before {answer['until']}.")
    if answer["shortened"]:
        console.note("There are too many to count for an answer; the range is shorter than asked.")
    if answer["waiting"]:
        console.note(f"{answer['waiting']} minutes or hours of it are still to be counted.")


def _row(group: dict[str, Any]) -> list[str]:
    from spanflow.cli.terminal.wording import clean, cut

    def number(name: str) -> str:
        counted = group.get(name)
        return "" if counted is None else f"{counted['count']}{'+' if counted.get('at_least') else ''}"

    steps = "steps" in group
    cost = group["cost"]
    return [
        "(other)" if group.get("other") else cut(clean(group.get("value", "all")), 40),
        str(group["steps"]) if steps else number("flows"),
        number("flows"),
        str(group["errors"]) if steps else number("flows_failed"),
        str(group["denied"]) if steps else number("flows_denied"),
        *(took(group[name]) for name in ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "total_ms")),
        took(group.get("self_ms")),
        str(group["tokens_input"] + group["tokens_output"]),
        "" if cost is None else f"{cost:.4f}",
    ]


def _first_token(group: dict[str, Any]) -> list[str]:
    """The 95th percentile of the time to the first token."""
    return [took((group.get("first_token") or {}).get("p95_ms"))]


def took(milliseconds: float | None) -> str:
    from spanflow.cli.terminal.wording import duration
    from spanflow.span_processors.tree.tree import NS_PER_MS

    return "" if milliseconds is None else duration(round(milliseconds * NS_PER_MS))


COMMAND = Command(
    name="stats",
    help="counts, durations, errors, tokens and cost of flows and steps",
    description="Statistics of finished flows and their steps: counts, durations, errors, tokens and cost, grouped by "
    "type of checkpoint, step, tool, MCP server, model, source or user.",
    run=run,
    add_arguments=add_arguments,
)
