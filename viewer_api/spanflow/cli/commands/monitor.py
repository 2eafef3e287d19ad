"""`spanflow monitor`: who is watched, and until when."""

import argparse
import json
import os
from typing import Any

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse
from spanflow.span_processors.ids import IdError, as_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("action", choices=["enable", "disable", "list"], help="enable, disable or list")
    parser.add_argument("user", nargs="*", help="ids of users to watch, or not to watch any more")
    parser.add_argument("--hours", type=float, help="hours after which the watch ends by itself")
    parser.add_argument("--reason", help="why, for the audit log")
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
    body: dict[str, Any] = {"user_ids": _ids(arguments.user)}
    if arguments.action == "enable":
        body |= {
            name: value
            for name, value in {"ttl_hours": arguments.hours, "reason": arguments.reason}.items()
            if value is not None
        }
    answer = viewer.post(f"/api/v1/monitoring/{arguments.action}", body)
    if arguments.json:
        console.result(json.dumps(answer, ensure_ascii=False))
    else:
        _tell(arguments.action, answer, console)
    return 0


def _ids(users: list[str]) -> list[str]:
    try:
        return [as_id(user) for user in users]
    except IdError as why:
        raise WrongUse(f"a user's id {why}.") from None


def _tell(action: str, answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    users = ", ".join(clean(user) for user in answer["user_ids"])
    if action == "enable":
        console.result(f"Watched until {moment(answer['expires_at'])}: {users}")
    else:
        console.result(f"Not watched any more: {users}")
    if answer.get("live") is False:
        console.note("Redis is away: gateways hear of it when it is back.")


def _list(answer: dict[str, Any], as_json: bool, console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment, padded, width

    watched = answer["monitored_users"]
    if as_json:
        for user in watched:
            console.result(json.dumps(user, ensure_ascii=False))
        return
    if not watched:
        console.note("Nobody is watched.")
        return
    rows = [
        [
            clean(user["user_id"]),
            clean(user.get("full_name") or user.get("email") or ""),
            f"until {moment(user['expires_at'])}" if user.get("expires_at") else "without an end",
            f"by {clean(user['by'])}" if user.get("by") else "",
            clean(user.get("reason") or ""),
        ]
        for user in watched
    ]
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        console.result("  ".join(padded(text, columns) for text, columns in zip(row, widths, strict=True)).rstrip())


COMMAND = Command(
    name="monitor",
    help="watch users, stop watching them, list who is watched",
    description="Watch users, stop watching them, or list who is watched, by whom and until when. Gateways publish "
    "what watched users do as it happens.",
    run=run,
    add_arguments=add_arguments,
)
