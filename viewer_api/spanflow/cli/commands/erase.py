"""`spanflow erase`: remove all that a person did."""

import argparse
import json
import os
from typing import Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem, WrongUse
from spanflow.span_processors.ids import IdError, as_id

#: A user with much data is erased in many steps, all in one request.
_PATIENCE = 3600.0
_KINDS = {
    "flows": "flows",
    "activities": "activities",
    "conversations": "conversations",
    "directory": "entries of the user directory",
    "watches": "watches",
    "records": "records that could not be stored",
    "alerts": "alerts",
    "share_links": "share links",
    "notes": "notes on flows",
    "saved_filters": "saved filters",
    "flows_in_redis": "flows in Redis",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("user", help="the user's id")
    parser.add_argument("--reason", help="reason for the audit log")
    parser.add_argument(
        "--allow-unknown",
        action="store_true",
        help="also if nothing is stored of this user: what a gateway's spool still has of them is then refused",
    )
    parser.add_argument("--yes", action="store_true", help="confirm; without it, only report how much there is")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    try:
        user = as_id(arguments.user)
    except IdError as why:
        raise WrongUse(f"a user's id {why}.") from None
    if arguments.yes and not (arguments.reason or "").strip():
        raise WrongUse("say why, with --reason: it goes to the audit log.")
    viewer = client(arguments, os.environ, console)
    path = f"/api/v1/users/{quote(user, safe='')}/data"
    if not arguments.yes:
        answer = viewer.get(path)
        if arguments.json:
            console.result(json.dumps(answer, ensure_ascii=False))
            return 0 if answer["known"] else 1
        if not answer["known"]:
            raise Problem(answer["hint"])
        _counts("Stored of", answer["user_id"], answer["stored"], console)
        console.note("Nothing was erased. Add --yes and --reason to erase all of it.")
        return 0
    if arguments.allow_unknown:
        path += "?allow_unknown=true"
    receipt = viewer.delete(path, reason=arguments.reason, patience=_PATIENCE)
    if arguments.json:
        console.result(json.dumps(receipt, ensure_ascii=False))
    else:
        _tell(receipt, console)
    return 0


def _counts(verb: str, user: object, counts: dict[str, int], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean

    console.result(f"{verb} user {clean(user)}:")
    for kind, count in counts.items():
        console.result(f"  {count:>8} {_KINDS.get(kind, clean(kind))}")


def _tell(receipt: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    _counts(
        f"Erased what began until {moment(receipt['erased_until'])} of", receipt["user_id"], receipt["erased"], console
    )
    console.result("What stays:")
    for each in receipt["stays"]:
        number = "" if each["count"] is None else f" ({each['count']})"
        console.result(f"  {clean(each['what'])}{number}: {clean(each['why'])}")
    console.result("Out of reach:")
    for each in receipt["out_of_reach"]:
        console.result(f"  {clean(each['what'])} at {clean(each['where'])}: {clean(each['why'])}")


COMMAND = Command(
    name="erase",
    help="erase everything a person did, and report what is kept",
    description="Erase everything a person did until now: flows, activities, conversations, their entry in the user "
    "directory, the watch on them, and running flows. Prints a receipt that says what is kept and why. Run "
    "it again to resume an interrupted erasure.",
    run=run,
    add_arguments=add_arguments,
)
