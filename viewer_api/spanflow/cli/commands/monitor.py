"""`spanflow monitor`: who is watched, and until when."""

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    actions = ["enable", "extend", "disable", "list"]
    parser.add_argument("action", choices=actions, help="enable, extend, disable or list")
    parser.add_argument("user", nargs="*", help="user ids")
    parser.add_argument("--hours", type=float, help="hours until the watch ends; with extend: hours to add")
    parser.add_argument("--reason", help="reason for the audit log")
    parser.add_argument(
        "--metadata-only", action="store_true", help="enable: hide prompts, answers, arguments and results"
    )
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    if arguments.action == "list" and arguments.user:
        raise WrongUse("`list` takes no users.")
    if arguments.action != "list" and not arguments.user:
        raise WrongUse(f"say whom to {arguments.action}: spanflow monitor {arguments.action} 7")
    viewer = client(arguments, os.environ, console)
    if arguments.action == "list":
        _list(viewer.get("/api/v1/monitoring/list"), arguments.json, console)
        return 0
    body = _body(arguments)
    idle = _not_watched(viewer, body["user_ids"]) if arguments.action == "disable" else []
    answer = viewer.post(f"/api/v1/monitoring/{arguments.action}", body)
    if arguments.json:
        console.result(json.dumps(answer, ensure_ascii=False))
    else:
        _tell(arguments.action, answer, idle, console)
    return 0


def _body(arguments: Arguments) -> dict[str, Any]:
    """What is sent: only what was said."""
    body: dict[str, Any] = {"user_ids": _ids(arguments.user), "reason": arguments.reason}
    if arguments.action == "enable":
        body |= {"ttl_hours": arguments.hours, "metadata_only": arguments.metadata_only or None}
    elif arguments.metadata_only:
        raise WrongUse("--metadata-only is for `enable`: to change a watch, enable it again.")
    elif arguments.action == "extend":
        body["hours"] = arguments.hours
    elif arguments.hours is not None:
        raise WrongUse("`disable` takes no --hours: the watch ends now.")
    return {name: value for name, value in body.items() if value is not None}


def _ids(users: list[str]) -> list[str]:
    try:
        return [as_id(user) for user in users]
    except IdError as why:
        raise WrongUse(f"a user's id {why}.") from None


def _not_watched(viewer: "ViewerClient", users: list[str]) -> list[str]:
    """Those of `users` who are not watched now: a misspelt id should be noticed."""
    watched = {str(user["user_id"]) for user in viewer.get("/api/v1/monitoring/list")["monitored_users"]}
    return [user for user in users if user not in watched]


def _tell(action: str, answer: dict[str, Any], idle: list[str], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    users = ", ".join(clean(user) for user in answer["user_ids"])
    if action == "enable":
        console.result(f"Watched until {moment(answer['expires_at'])}: {users}")
    elif action == "extend":
        for watch in answer["monitored_users"]:
            console.result(f"Watched until {moment(watch['expires_at'])}: {clean(watch['user_id'])}")
    else:
        if ended := [clean(user) for user in answer["user_ids"] if str(user) not in idle]:
            console.result(f"No longer watched: {', '.join(ended)}")
        if idle:
            console.note(f"Was not watched: {', '.join(map(clean, idle))}")
    if answer.get("live") is False:
        console.note("Redis is away: gateways hear of it when it is back.")


def _list(answer: dict[str, Any], as_json: bool, console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment, table

    watched = answer["monitored_users"]
    if as_json:
        for user in watched:
            console.result(json.dumps(user, ensure_ascii=False))
        return
    if not watched:
        console.note("No user is watched.")
        return
    rows = [
        [
            clean(user["user_id"]),
            clean(user.get("full_name") or user.get("email") or ""),
            moment(user["expires_at"]) if user.get("expires_at") else "never",
            clean(user.get("by") or ""),
            clean(user.get("reason") or "") + ("  (without contents)" if user.get("metadata_only") else ""),
        ]
        for user in watched
    ]
    for line in table(("USER", "NAME", "ENDS", "BY", "REASON"), rows):
        console.result(line)


COMMAND = Command(
    name="monitor",
    help="watch users, extend or end a watch, list who is watched",
    description="Watch users, extend or end a watch, or list who is watched, by whom and until when. Gateways publish "
    "what watched users do as it happens.",
    run=run,
    add_arguments=add_arguments,
)
