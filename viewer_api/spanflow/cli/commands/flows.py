"""`spanflow flows`: past and running flows that match."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient

#: The most that a viewer gives at once.
_PAGE = 200
_HEAD = ("BEGAN", "FLOW", "USER", "OUTCOME", "TOOK", "REQUEST", "TOOLS", "REASON")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where
    from spanflow.cli.terminal.flow_filters import add_filters

    add_filters(parser)
    parser.add_argument("--sort", help="newest (default), duration, tokens or cost")
    parser.add_argument("--limit", type=int, default=20, help="maximum number (%(default)s)")
    parser.add_argument("--saved", metavar="NAME", help="a saved filter: yours of this name, or one that is shared")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.flow_filters import stated_filters
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import MARKS, paint_for, table

    limit = max(1, arguments.limit)
    now = datetime.now(UTC)
    viewer = client(arguments, os.environ, console)
    stated = {**stated_filters(arguments, now), "sort": arguments.sort}
    # What is stated takes the place of what is saved.
    saved = _saved(viewer, arguments.saved) if arguments.saved else {}
    filters = saved | {name: value for name, value in stated.items() if value is not None}
    flows = _found(viewer, filters, limit, console)
    shown = [flow for flow, _ in zip(flows, range(limit), strict=False)]
    if arguments.json:
        for flow in shown:
            console.result(json.dumps(flow, ensure_ascii=False))
        return 0
    if not shown:
        console.note("No flow matches.")
        return 0
    paint = paint_for(sys.stdout)
    columns = shutil.get_terminal_size().columns - 3 if sys.stdout.isatty() else None
    head, *lines = table(_HEAD, [_row(flow, now) for flow in shown], columns=columns)
    console.result("  " + paint(head, "dim"))
    for flow, line in zip(shown, lines, strict=True):
        mark, colour = MARKS.get("running" if flow.get("open") else str(flow.get("outcome")), ("·", "dim"))
        console.result(f"{paint(mark, colour)} {line}")
    return 0


def _saved(viewer: "ViewerClient", name: str) -> dict[str, Any]:
    """The parameters of a saved filter; of several that are shared under one name none is chosen."""
    saved = viewer.get("/api/v1/filters")["filters"]
    named = [each for each in saved if each["name"] == name]
    chosen = [each for each in named if each["mine"]] or named
    if len(chosen) != 1:
        many = f"several share one called {json.dumps(name, ensure_ascii=False)}; save one under a name of your own."
        names = ", ".join(json.dumps(each["name"], ensure_ascii=False) for each in saved) or "none"
        raise WrongUse(many if chosen else f"there is no saved filter of this name. There are: {names}.")
    return parse_qs(chosen[0]["query"])


def _found(viewer: "ViewerClient", filters: dict[str, Any], limit: int, console: Console) -> Iterator[dict[str, Any]]:
    """Page by page, the newest first."""
    cursor: str | None = None
    while True:
        page = viewer.get("/api/v1/flows", {**filters, "limit": min(_PAGE, limit), "cursor": cursor})
        if page.get("without_running"):
            console.note("Redis is away: running flows are not listed.")
        yield from page["flows"]
        cursor = page.get("next")
        if not cursor:
            return


def _row(flow: dict[str, Any], now: datetime) -> list[str]:
    from spanflow.cli.terminal.wording import ago, clean, cut, duration, reason_of
    from spanflow.span_processors.tree.tree import NS_PER_MS

    took = flow.get("duration_ms")
    user = flow.get("email") or flow.get("full_name") or flow.get("user_id")
    return [
        ago(flow.get("started_at"), now),
        clean(flow["flow_id"]),
        "–" if user is None else cut(clean(user), 32),
        "running" if flow.get("open") else clean(flow.get("outcome") or ""),
        "" if took is None else duration(int(took * NS_PER_MS)),
        cut(clean(flow.get("name") or ""), 40),
        cut(clean(", ".join(flow.get("tools") or [])), 40),
        cut(clean(reason_of(flow) or ""), 40),
    ]


COMMAND = Command(
    name="flows",
    help="list running and past flows",
    description="List running and past flows, newest first.",
    run=run,
    add_arguments=add_arguments,
)
