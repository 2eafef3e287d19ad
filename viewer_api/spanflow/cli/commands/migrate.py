"""`spanflow migrate`: bring the database's schema to what this version needs."""

import argparse
import os

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.extras import VIEWER
from spanflow.cli.problem import Problem
from spanflow.cli.running_stack import with_running_stack
from spanflow.span_processors.shared_settings import SharedSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--sql", action="store_true", help="print the whole schema as one script for psql; changes nothing"
    )
    either.add_argument(
        "--down",
        nargs="?",
        const="base",
        metavar="REVISION",
        help="go back to a revision, without one to before the first; what was stored since then is deleted",
    )
    parser.add_argument("--yes", action="store_true", help="go ahead with --down")


def run(arguments: Arguments, console: Console) -> int:
    settings = SharedSettings.from_environ(with_running_stack(os.environ, SharedSettings))

    from spanflow.cli.unreachable import explained
    from spanflow.migrations import run as migrations

    if arguments.sql:
        console.result(migrations.sql(settings.schema))
        return 0
    if arguments.down and not arguments.yes:
        raise Problem(f"going back to {arguments.down!r} deletes stored flows. Add --yes if that is what you want.")
    with explained(settings):
        before = migrations.current(settings.postgres_dsn, settings.schema)
        if arguments.down:
            migrations.downgrade(settings.postgres_dsn, settings.schema, arguments.down)
        else:
            migrations.upgrade(settings.postgres_dsn, settings.schema)
        after = migrations.current(settings.postgres_dsn, settings.schema)
    was = "" if before == after else f" (was {before or 'not there'})"
    console.result(f"Schema {settings.schema}: revision {after or 'none'}{was}.")
    return 0


COMMAND = Command(
    name="migrate",
    help="bring the database's schema up to date",
    description="Bring the database's schema to the newest revision. Any number of processes may do so at once, and a "
    "schema that is up to date stays as it is. Existing interaction_flows tables are adopted with every row.",
    run=run,
    add_arguments=add_arguments,
    extra=VIEWER,
)
