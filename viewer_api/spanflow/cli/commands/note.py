"""`spanflow note`: notes and verdicts on a flow."""

import argparse
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient

_VERDICTS = ("good", "bad", "needs_look")
_ACTIONS = {
    "list": "list the notes on a flow",
    "add": "add a note, a verdict, or both",
    "change": "replace your note (--note)",
    "delete": "delete a note (--note)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    actions = "; ".join(f"{name}: {what}" for name, what in _ACTIONS.items())
    parser.add_argument("action", choices=list(_ACTIONS), metavar="ACTION", help=actions)
    parser.add_argument("flow", metavar="FLOW", help="id of the flow")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="add, change: text of the note")
    parser.add_argument("--verdict", choices=_VERDICTS, help="add, change: verdict on the flow")
    parser.add_argument("--note", metavar="ID", help="change, delete: id of the note")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    path = f"/api/v1/flows/{quote(arguments.flow, safe='')}/notes"
    done = _DO[arguments.action](client(arguments, os.environ, console), path, arguments)
    if arguments.json:
        console.result(json.dumps(done, ensure_ascii=False))
    elif arguments.action == "list":
        _tell(done, console)
    else:
        console.result(f"The note {done['note_id']} is {'deleted' if arguments.action == 'delete' else 'saved'}.")
    return 0


def _tell(listed: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import ago, clean

    if not listed["notes"]:
        console.note("There are no notes on this flow.")
    for note in listed["notes"]:
        verdict = "" if note["verdict"] is None else f", {clean(_words(note['verdict']))}"
        when = ago(note["created_at"], datetime.now(UTC))
        console.result(f"{clean(note['note_id'])}  {clean(note['created_by'])}, {when}{verdict}")
        for line in (note["note"] or "").splitlines():
            console.result(f"  {clean(line)}")


def _words(verdict: str) -> str:
    return "needs a look" if verdict == "needs_look" else verdict


def _body(arguments: Arguments) -> dict[str, str]:
    if not arguments.text and not arguments.verdict:
        raise WrongUse(
            'a text or a verdict is needed: spanflow note add FLOW "The tool was asked twice." --verdict bad'
        )
    verdict = {"verdict": arguments.verdict} if arguments.verdict else {}
    return verdict | ({"note": arguments.text} if arguments.text else {})


def _one(path: str, arguments: Arguments) -> str:
    if not arguments.note:
        raise WrongUse("say which note, with --note and its id.")
    return f"{path}/{quote(arguments.note, safe='')}"


_DO: dict[str, Callable[["ViewerClient", str, Arguments], Any]] = {
    "list": lambda viewer, path, arguments: viewer.get(path),
    "add": lambda viewer, path, arguments: viewer.post(path, _body(arguments)),
    "change": lambda viewer, path, arguments: viewer.put(_one(path, arguments), _body(arguments)),
    "delete": lambda viewer, path, arguments: viewer.delete(_one(path, arguments)),
}

COMMAND = Command(
    name="note",
    help="notes and verdicts on flows",
    description="List, add, change and delete notes on a flow: a text, a verdict (good, bad, needs_look), or both. "
    "`spanflow flows --verdict bad` finds flows by verdict; a flow has the verdict of its newest note with one.",
    run=run,
    add_arguments=add_arguments,
)
