"""Options that choose flows, as the API's filters."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from spanflow.cli.problem import WrongUse
from spanflow.cli.terminal.wording import stated_time

#: Filters of the API, and how commands call them.
FILTERS: Final = {
    "id": ("--id", "only flows whose id has this prefix (at least 6 digits)"),
    "user_id": ("--user", "only flows of this user id"),
    "user": ("--person", "only flows of users whose e-mail address or name contains this"),
    "session_id": ("--session", "only flows of this session"),
    "conversation_id": ("--conversation", "only flows of this conversation"),
    "source": ("--source", "only flows from this source, such as web"),
    "outcome": ("--outcome", "only flows with this outcome: ok, denied, error, cancelled, interrupted; or running"),
    "outcome_reason": (
        "--outcome-reason",
        "only flows with this outcome reason: unauthenticated, forbidden, rate_limited, caller_error or server_error",
    ),
    "gate": ("--gate", "only flows denied by this checkpoint, such as block_check"),
    "checkpoint": ("--checkpoint", "only flows with a checkpoint of this type, such as tool_call"),
    "step": ("--step", "only flows with a step of this type and name, such as 'tool_call:tools/call list_snapshots'"),
    "tool": ("--tool", "only flows that called this tool"),
    "mcp_server": ("--mcp-server", "only flows that called this MCP server"),
    "model": ("--model", "only flows that called this model"),
    "min_duration_ms": ("--min-ms", "only flows that took at least this many milliseconds"),
    "verdict": ("--verdict", "only flows with this verdict: good, bad or needs_look"),
    "q": ("--search", "words in names, messages and recorded attributes"),
    "since": ("--since", "from this time: yesterday, today, 2h, 3d, a date or ISO 8601"),
    "until": ("--until", "up to this time, or to the end of this date; same formats"),
}


_TIMES: Final = ("since", "until")


def add_filters(parser: argparse.ArgumentParser) -> None:
    for name, (option, text) in FILTERS.items():
        parser.add_argument(option, dest=name, help=text)


def stated_filters(arguments: Any, now: datetime) -> dict[str, Any]:
    """What was asked for, with times as the API reads them."""
    return with_stated_times({name: getattr(arguments, name) for name in FILTERS}, now)


def with_stated_times(filters: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The same filters, with times as the API reads them."""
    return {
        name: stated_time(value, now) if name in _TIMES and isinstance(value, str) else value
        for name, value in filters.items()
    }


def filter_pairs(texts: Iterable[str], now: datetime) -> Iterator[tuple[str, str]]:
    """Names and values of `FILTER=VALUE`, with times as the API reads them."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise WrongUse(f"{text!r} is no filter: write it like user_id=7.")
        yield name, (stated_time(value, now) or value) if name in _TIMES else value
