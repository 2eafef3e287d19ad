"""`spanflow token`: access tokens for programs and people."""

import argparse
import json
import time
from datetime import UTC, datetime

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem

_DAY = 86_400
_MOST_DAYS = 36_500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["new"], help="new: create a token")
    parser.add_argument("--name", required=True, help="owner, as shown in the audit log")
    parser.add_argument(
        "--role",
        required=True,
        choices=["viewer", "monitor", "admin", "ingest"],
        help="viewer, monitor, admin, or ingest (sends spans, reads nothing)",
    )
    parser.add_argument("--user-id", help="role viewer: the user whose flows it may see")
    parser.add_argument("--users", help="role monitor: user ids it may see, comma-separated (default: all)")
    parser.add_argument("--days", type=int, help="days until it expires (default: never)")
    parser.add_argument("--json", action="store_true", help="print token and entry as JSON")


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.viewer_api.auth.permissions import Principal, Role, Via
    from spanflow.viewer_api.auth.token_file import Entry, digest, new_token, parsed, written

    if arguments.days is not None and not 1 <= arguments.days <= _MOST_DAYS:
        raise Problem(f"--days: use a number from 1 to {_MOST_DAYS}.")
    token = new_token()
    users = [user.strip() for user in (arguments.users or "").split(",") if user.strip()]
    expires = None if arguments.days is None else datetime.fromtimestamp(time.time() + arguments.days * _DAY, UTC)
    owner = Principal(
        name=arguments.name,
        via=Via.TOKEN,
        role=Role(arguments.role),
        user_id=arguments.user_id,
        scope=frozenset(users) if users else None,
        expires_at=expires,
    )
    entry = written(Entry(digest(token), owner))
    try:
        parsed(entry.encode())
    except ValueError as why:
        raise Problem(str(why).partition(": ")[2]) from None
    if arguments.json:
        console.result(json.dumps({"token": token, "entry": entry}))
        return 0
    # The entry alone goes to the output, so that it can be appended to the file: the file must not hold the token.
    console.note(f"The token, shown this once:\n\n    {token}\n")
    console.note("The entry for the file that SPANFLOW_VIEWER_TOKENS_FILE names; it holds a hash only:\n")
    console.result(entry)
    return 0


COMMAND = Command(
    name="token",
    help="create an access token for a program or a person",
    description="Create an access token. The token is printed once, to stderr; its entry for "
    "SPANFLOW_VIEWER_TOKENS_FILE goes to stdout: `spanflow token new … >> tokens.toml`. Running viewers "
    "reload the file.",
    run=run,
    add_arguments=add_arguments,
)
