"""`spanflow flows`: past and running flows that match."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient

#: The most that a viewer gives at once.
_PAGE = 200
_HEAD = ("BEGAN", "FLOW", "USER", "OUTCOME", "TOOK", "REQUEST", "TOOLS", "REASON")
#: Filters of the API, and how the command calls them.
_FILTERS = {
    "id": ("--id", "only flows whose id begins so (6 digits or more)"),
    "user_id": ("--user", "only flows of this user id"),
    "user": ("--person", "only flows of people with this part of an e-mail address or name"),
    "session_id": ("--session", "only flows of this session"),
    "conversation_id": ("--conversation", "only flows of this conversation"),
    "source": ("--source", "only flows that came this way, such as web"),
    "outcome": ("--outcome", "only flows that ended so: ok, denied, error, cancelled, interrupted; or running"),
    "outcome_reason": (
        "--outcome-reason",
        "only flows that were answered so: unauthenticated, forbidden, rate_limited, caller_error or server_error",
    ),
    "gate": ("--gate", "only flows that this checkpoint refused, such as block_check"),
    "checkpoint": ("--checkpoint", "only flows with this type of checkpoint, such as tool_call"),
    "tool": ("--tool", "only flows that called this tool"),
    "mcp_server": ("--mcp-server", "only flows that called this MCP server"),
    "model": ("--model", "only flows that asked this model"),
    "min_duration_ms": ("--min-ms", "only flows that took so many milliseconds at least"),
    "q": ("--search", "words of names, messages and recorded attributes"),
    "since": ("--since", "flows of this moment or later: yesterday, today, 2h, 3d, a date or ISO 8601"),
    "until": ("--until", "flows up to this moment, or to the end of this date; written likewise"),
    "sort": ("--sort", "newest (as if left out), duration, tokens or cost"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    for name, (option, text) in _FILTERS.items():
        parser.add_argument(option, dest=name, help=text)
    parser.add_argument("--limit", type=int, default=20, help="how many at most (%(default)s)")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import MARKS, paint_for, stated_time, table

    limit = max(1, arguments.limit)
    now = datetime.now(UTC)
    filters = {name: getattr(arguments, name) for name in _FILTERS}
    filters |= {name: stated_time(filters[name], now) for name in ("since", "until")}
    found = _found(client(arguments, os.environ, console), filters, limit, console)
    shown = [flow for flow, _ in zip(found, range(limit), strict=False)]
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


def _found(
    viewer: "ViewerClient", filters: dict[str, str | None], limit: int, console: Console
) -> Iterator[dict[str, Any]]:
    """Page by page, the newest first."""
    cursor: str | None = None
    while True:
        page = viewer.get("/api/v1/flows", {**filters, "limit": min(_PAGE, limit), "cursor": cursor})
        if page.get("without_running"):
            console.note("Redis is away: what runs now is not known, and not among them.")
        yield from page["flows"]
        cursor = page.get("next")
        if not cursor:
            return


def _row(flow: dict[str, Any], now: datetime) -> list[str]:
    from spanflow.cli.terminal.wording import ago, clean, cut, duration
    from spanflow.span_processors.tree.tree import NS_PER_MS

    took = flow.get("duration_ms")
    user = flow.get("email") or flow.get("full_name") or flow.get("user_id")
    said = flow.get("denied_gate") or flow.get("error_message") or ""
    return [
        ago(flow.get("started_at"), now),
        clean(flow["flow_id"]),
        "–" if user is None else cut(clean(user), 32),
        "running" if flow.get("open") else clean(flow.get("outcome") or ""),
        "" if took is None else duration(int(took * NS_PER_MS)),
        cut(clean(flow.get("name") or ""), 40),
        cut(clean(", ".join(flow.get("tools") or [])), 40),
        cut(clean(said), 40),
    ]


COMMAND = Command(
    name="flows",
    help="list flows that match, running and past",
    description="List running and past flows, the newest first.",
    run=run,
    add_arguments=add_arguments,
)
