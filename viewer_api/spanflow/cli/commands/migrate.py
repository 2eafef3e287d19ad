"""`spanflow migrate`: bring the database's schema to what this version needs."""

import argparse
import asyncio
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
        help="downgrade to a revision (default: remove everything); data stored since then is deleted",
    )
    either.add_argument(
        "--check",
        action="store_true",
        help="dry run: report what would happen to existing tables; fails if the migration would",
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="convert an application's interaction_flows and user_activities that are in our own schema; its "
        "statements that bind numbers or UUIDs fail from then on",
    )
    parser.add_argument("--yes", action="store_true", help="confirm --down")


def run(arguments: Arguments, console: Console) -> int:
    settings = SharedSettings.from_environ(with_running_stack(os.environ, SharedSettings))

    from spanflow.cli.unreachable import explained
    from spanflow.migrations import run as migrations

    if arguments.sql:
        console.result(migrations.sql(settings.schema, legacy_schema=settings.legacy_schema, adopt=arguments.adopt))
        return 0
    if arguments.check:
        with explained(settings):
            return asyncio.run(_check(settings, console, arguments.adopt))
    if arguments.down and not arguments.yes:
        raise Problem(f"going back to {arguments.down!r} deletes stored flows. Add --yes if that is what you want.")
    with explained(settings):
        before = migrations.current(settings.postgres_dsn, settings.schema)
        if arguments.down:
            migrations.downgrade(settings.postgres_dsn, settings.schema, arguments.down)
        else:
            migrations.upgrade(
                settings.postgres_dsn, settings.schema, legacy_schema=settings.legacy_schema, adopt=arguments.adopt
            )
        after = migrations.current(settings.postgres_dsn, settings.schema)
    was = "" if before == after else f" (was {before or 'not there'})"
    console.result(f"Schema {settings.schema}: revision {after or 'none'}{was}.")
    return 0


async def _check(settings: SharedSettings, console: Console, adopt: bool) -> int:
    from spanflow.migrations.scripts import VERSION_TABLE, head
    from spanflow.migrations.survey import Effect, survey
    from spanflow.span_processors.archive.postgres import connect

    connection = await connect(settings, "migrate")
    try:
        there = await connection.fetchval("SELECT to_regclass($1)::text", f'"{settings.schema}".{VERSION_TABLE}')
        revision = there and await connection.fetchval(f"SELECT version_num FROM {there}")
        outlooks = await survey(connection, settings.schema, settings.legacy_schema, adopt=adopt)
    finally:
        await connection.close()
    console.result(f"Schema {settings.schema}: revision {revision or 'none'}; this version brings {head()}.")
    for outlook in outlooks:
        console.result(f"{outlook.effect:8} {outlook.message}.")
        if outlook.repair:
            console.result(f"{'':8} {outlook.repair}")
    refused = any(outlook.effect is Effect.REFUSED for outlook in outlooks)
    console.result("The migration would stop; nothing would change." if refused else "Nothing stands in the way.")
    return 1 if refused else 0


COMMAND = Command(
    name="migrate",
    help="upgrade the database schema",
    description="Upgrade the database schema to the newest revision. Safe to run from any number of processes at once; "
    "no-op if up to date. Existing tables of an application that traced itself before are left as they are "
    "and kept in sync; --check shows beforehand what will happen to them.",
    run=run,
    add_arguments=add_arguments,
    extra=VIEWER,
)
