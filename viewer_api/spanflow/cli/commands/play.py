"""`spanflow play`: the past, as it happened."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import Params

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
    from spanflow.cli.terminal.playback import Player, recorded
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for

    if not _SLOWEST <= arguments.speed <= _FASTEST:
        raise WrongUse(f"--speed is from {_SLOWEST:g} to {_FASTEST:g}.")
    recording = recorded(client(arguments, os.environ, console), _asked(arguments))
    if not recording.messages:
        console.note("There is nothing to play. What still runs is played only as --flow.")
        return 0
    player = Player(recording, arguments.speed, begin=arguments.from_, idle=None if arguments.no_skip else _IDLE)
    if arguments.json:
        for message in player.messages():
            console.result(json.dumps(message, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    view: View
    if sys.stdout.isatty():
        view = TreeView(sys.stdout, paint, clock_ns=player.now_ns)
    else:
        view = LineView(console.result, paint)
    flows = Flows(view)
    try:
        for message in player.messages(flows.show):
            flows.add(message)
        flows.show()
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
    # Of a user, what begins while it is read is no part of it.
    until = arguments.until or (now.isoformat() if arguments.user else None)
    times = {"since": stated_time(arguments.since, now), "until": stated_time(until, now)}
    return {**asked, **{edge: text for edge, text in times.items() if text is not None}}


COMMAND = Command(
    name="play",
    help="play back a flow, a conversation or a user's time range",
    description="Play back a flow, a conversation, or everything a user did in a time range: as growing trees in a "
    "terminal, one line per step otherwise, as messages of the live socket with --json. Idle time is "
    "shortened. Ctrl-C ends it.",
    run=run,
    add_arguments=add_arguments,
)
