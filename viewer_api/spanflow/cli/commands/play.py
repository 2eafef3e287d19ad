"""`spanflow play`: the past, as it happened."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import Params, ViewerClient

_SLOWEST, _FASTEST = 0.25, 16.0
#: Longer idle time is shortened to this many seconds.
_IDLE = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("--flow", help="a flow to play")
    parser.add_argument("--conversation", help="a conversation to play")
    parser.add_argument("--user", help="user to play, with --since and --until")
    parser.add_argument("--since", help="from this time: 2026-03-01, 2h, yesterday")
    parser.add_argument("--until", help="up to this time")
    parser.add_argument("--speed", type=float, default=1.0, help="playback speed, 0.25 to 16 (%(default)s)")
    parser.add_argument("--no-skip", action="store_true", help=f"do not shorten idle time to {_IDLE:g} s")
    parser.add_argument("--from", type=float, default=0.0, dest="from_", metavar="SECONDS", help="start at this offset")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.live_view import Flows, LineView, TreeView, View
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for

    if not _SLOWEST <= arguments.speed <= _FASTEST:
        raise WrongUse(f"--speed is from {_SLOWEST:g} to {_FASTEST:g}.")
    moments = _moments(client(arguments, os.environ, console), _asked(arguments))
    timed = _timed(moments, arguments.speed, arguments.from_, skip=not arguments.no_skip)
    if arguments.json:
        for wait, message in timed:
            time.sleep(wait)
            console.result(json.dumps(message, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    view: View = TreeView(sys.stdout, paint) if sys.stdout.isatty() else LineView(console.result, paint)
    flows = Flows(view)
    try:
        for wait, message in timed:
            time.sleep(wait)
            flows.take(message)
    finally:
        view.close()
    return 0


def _asked(arguments: Arguments) -> "Params":
    from spanflow.cli.terminal.wording import stated_time

    named = {"flow_id": arguments.flow, "conversation_id": arguments.conversation, "user_id": arguments.user}
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) != 1:
        raise WrongUse("say what to play: --flow, --conversation or --user.")
    ((name, value),) = given.items()
    try:
        asked = {name: as_id(value)}
    except IdError as why:
        raise WrongUse(f"{name}: {why}.") from None
    now = datetime.now(UTC)
    times = {"since": stated_time(arguments.since, now), "until": stated_time(arguments.until, now)}
    return {**asked, **{edge: text for edge, text in times.items() if text is not None}}


def _moments(viewer: "ViewerClient", asked: "Params") -> Iterator[tuple[float, dict[str, Any]]]:
    """Every message with its time in seconds after the first."""
    first: int | None = 0
    while first is not None:
        page = viewer.get("/api/v1/playback", {**asked, "first": first, "limit": 1000})
        for each in page["messages"]:
            yield each["at_ms"] / 1000, each["message"]
        first = page["next"]


def _timed(
    moments: Iterator[tuple[float, dict[str, Any]]], speed: float, begin: float, *, skip: bool
) -> Iterator[tuple[float, dict[str, Any]]]:
    """How long to wait before each message. What lies before the beginning comes at once."""
    before = begin
    for at, message in moments:
        pause = max(0.0, at - before)
        before = max(before, at)
        yield (min(pause, _IDLE) if skip else pause) / speed, message


COMMAND = Command(
    name="play",
    help="play back a flow, a conversation or a user's time range",
    description="Play back a flow, a conversation, or everything a user did in a time range: as growing trees in a "
    "terminal, one line per step otherwise, as messages of the live socket with --json. Idle time is "
    "shortened. Ctrl-C ends it.",
    run=run,
    add_arguments=add_arguments,
)
