"""`spanflow tail`: what users' requests do right now."""

import argparse
import json
import os
import sys
import time

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem, WrongUse
from spanflow.span_processors.ids import IdError, as_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("--user", action="append", default=[], help="user to follow; repeatable")
    parser.add_argument("--flow", action="append", default=[], help="flow to follow; repeatable")
    parser.add_argument("--conversation", action="append", default=[], help="conversation to follow")
    parser.add_argument("--reason", help="reason for the audit log; required for users who are not watched")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.client import Refused
    from spanflow.cli.terminal.follow import Follower
    from spanflow.cli.terminal.live_view import Flows, LineView, TreeView, View
    from spanflow.cli.terminal.where import client
    from spanflow.cli.terminal.wording import paint_for

    wanted = {
        "user_id": _ids("--user", arguments.user),
        "flow_id": _ids("--flow", arguments.flow),
        "conversation_id": _ids("--conversation", arguments.conversation),
    }
    if not any(wanted.values()):
        raise WrongUse("say whom to follow: --user 7, --flow … or --conversation ….")
    viewer = client(arguments, os.environ, console)
    follower = Follower(viewer, wanted, arguments.reason, console.note, time.sleep)
    if arguments.json:
        for message in follower.messages():
            console.result(json.dumps(message, ensure_ascii=False))
        return 0
    paint = paint_for(sys.stdout)
    view: View = TreeView(sys.stdout, paint) if sys.stdout.isatty() else LineView(console.result, paint)
    flows = Flows(view)
    try:
        for message in follower.messages():
            flows.take(message)
            if told := follower.told(message):
                view.close()
                console.note(told)
    except Refused as why:
        if why.code == "reason_required":
            raise Problem(f"{why} Give one with --reason, such as --reason 'ticket 4711'.") from None
        raise
    finally:
        view.close()
    return 0


def _ids(option: str, values: list[str]) -> list[str]:
    try:
        return [as_id(value) for value in values]
    except IdError as why:
        raise WrongUse(f"{option}: {why}.") from None


COMMAND = Command(
    name="tail",
    help="follow users' requests live, as growing trees",
    description="Follow users, flows or conversations live: as growing trees in a terminal, one line per step "
    "otherwise. It reconnects when the connection breaks or the viewer restarts, without missing or "
    "repeating anything. Ctrl-C ends it.",
    run=run,
    add_arguments=add_arguments,
)
