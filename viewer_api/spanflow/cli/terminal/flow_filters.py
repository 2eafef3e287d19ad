"""Options that choose flows, as the API's filters."""

import argparse
from datetime import datetime
from typing import Any, Final

from spanflow.cli.terminal.wording import stated_time

#: Filters of the API, and how commands call them.
FILTERS: Final = {
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
}


def add_filters(parser: argparse.ArgumentParser) -> None:
    for name, (option, text) in FILTERS.items():
        parser.add_argument(option, dest=name, help=text)


def stated_filters(arguments: Any, now: datetime) -> dict[str, str | None]:
    """What was asked for, with times as the API reads them."""
    filters = {name: getattr(arguments, name) for name in FILTERS}
    return filters | {name: stated_time(filters[name], now) for name in ("since", "until")}
