"""`spanflow share`: links that show one flow without a sign-in."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient

_PAGE = 200
_ACTIONS = {
    "list": "list links: your own, for admins all of them",
    "create": "create a link to a flow; it is printed only once",
    "revoke": "revoke a link at once",
}
_HEAD = ("CREATED", "LINK", "FLOW", "STATE", "EXPIRES", "CONTENTS", "OPENED", "BY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    actions = "; ".join(f"{name}: {what}" for name, what in _ACTIONS.items())
    parser.add_argument("action", nargs="?", default="list", choices=list(_ACTIONS), metavar="ACTION", help=actions)
    parser.add_argument("what", nargs="?", metavar="ID", help="create, list: id of the flow; revoke: id of the link")
    parser.add_argument("--days", type=float, help="create: lifetime (default: the viewer's SPANFLOW_SHARE_DAYS)")
    parser.add_argument("--contents", action="store_true", help="create: show prompts, answers, arguments and results")
    parser.add_argument("--mine", action="store_true", help="list: only your own links")
    parser.add_argument("--limit", type=int, default=50, help="list: maximum number (%(default)s)")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    return _DO[arguments.action](client(arguments, os.environ, console), arguments, console)


def _create(viewer: "ViewerClient", arguments: Arguments, console: Console) -> int:
    body = {"contents": arguments.contents} | ({} if arguments.days is None else {"days": arguments.days})
    made = viewer.post(f"/api/v1/flows/{_named(arguments, 'flow')}/shares", body)
    if arguments.json:
        console.result(json.dumps(made, ensure_ascii=False))
    else:
        from spanflow.cli.terminal.wording import moment

        console.result(made["url"])
        contents = "with" if made["contents"] else "without"
        console.note(
            f"Anyone with this link can see the flow, {contents} contents, until {moment(made['expires_at'])}."
        )
    return 0


def _list(viewer: "ViewerClient", arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.wording import paint_for, table

    links = list(_links(viewer, arguments))
    if arguments.json:
        for link in links:
            console.result(json.dumps(link, ensure_ascii=False))
    elif not links:
        console.note("There are no links.")
    else:
        head, *lines = table(_HEAD, [_row(link) for link in links])
        console.result(paint_for(sys.stdout)(head, "dim"))
        for line in lines:
            console.result(line)
    return 0


def _links(viewer: "ViewerClient", arguments: Arguments) -> Iterator[dict[str, Any]]:
    left, cursor = max(1, arguments.limit), None
    mine = "true" if arguments.mine else None
    while left:
        asked = {"flow_id": arguments.what, "mine": mine, "limit": min(_PAGE, left), "cursor": cursor}
        page = viewer.get("/api/v1/shares", asked)
        yield from page["shares"]
        left -= len(page["shares"])
        cursor = page["next"]
        if not cursor:
            return


def _row(link: dict[str, Any]) -> list[str]:
    from spanflow.cli.terminal.wording import ago, clean, cut, moment

    return [
        ago(link["created_at"], datetime.now(UTC)),
        clean(link["link_id"]),
        clean(link["flow_id"]),
        clean(link["state"]),
        moment(link["expires_at"]),
        "yes" if link["contents"] else "no",
        str(link["opened"]),
        cut(clean(link["created_by"]), 32),
    ]


def _revoke(viewer: "ViewerClient", arguments: Arguments, console: Console) -> int:
    ended = viewer.delete(f"/api/v1/shares/{_named(arguments, 'link')}")
    if arguments.json:
        console.result(json.dumps(ended, ensure_ascii=False))
    else:
        console.result("The link is revoked.")
    return 0


def _named(arguments: Arguments, what: str) -> str:
    if not arguments.what:
        raise WrongUse(f"say which {what}, by its id.")
    return quote(arguments.what, safe="")


_DO: dict[str, Callable[["ViewerClient", Arguments, Console], int]] = {
    "list": _list,
    "create": _create,
    "revoke": _revoke,
}

COMMAND = Command(
    name="share",
    help="share one flow by a link, without a sign-in",
    description="Create, list and revoke links. A link shows one flow and nothing else, read-only and without a "
    "sign-in, to anyone who has it, until it expires.",
    run=run,
    add_arguments=add_arguments,
)
