"""The `spanflow` command."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from spanflow.cli.command import Command
from spanflow.cli.commands import (
    alerts,
    compare,
    diff,
    doctor,
    erase,
    export,
    flows,
    funnel,
    import_,
    mcp,
    migrate,
    monitor,
    note,
    open,
    play,
    retention,
    run,
    serve,
    settings,
    share,
    show,
    stats,
    tail,
    token,
    up,
)
from spanflow.cli.console import Console
from spanflow.cli.extras import require
from spanflow.cli.problem import Problem
from spanflow.span_processors.setting_table import SettingsError

COMMANDS: tuple[Command, ...] = (
    up.COMMAND,
    open.COMMAND,
    run.COMMAND,
    serve.COMMAND,
    tail.COMMAND,
    flows.COMMAND,
    stats.COMMAND,
    funnel.COMMAND,
    show.COMMAND,
    compare.COMMAND,
    diff.COMMAND,
    play.COMMAND,
    export.COMMAND,
    import_.COMMAND,
    share.COMMAND,
    note.COMMAND,
    alerts.COMMAND,
    monitor.COMMAND,
    mcp.COMMAND,
    token.COMMAND,
    migrate.COMMAND,
    retention.COMMAND,
    erase.COMMAND,
    settings.COMMAND,
    doctor.COMMAND,
)


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="spanflow", description="See what a user's request is doing right now, and what it did yesterday."
    )
    whole.add_argument("--version", action="version", version=f"spanflow {version('spanflow')}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        _add(command, commands.add_parser(command.name, help=command.help, **_explained(command)))
        for alias in command.aliases:
            # Without `help` it is not listed.
            _add(command, commands.add_parser(alias, **_explained(command)))
    return whole


def _explained(command: Command) -> dict[str, Any]:
    # `--token` must not be taken for `--token-file`: a token on the command line is visible to all local users.
    return {"description": command.description, "allow_abbrev": False}


def _add(command: Command, parser: argparse.ArgumentParser) -> None:
    command.add_arguments(parser)
    parser.set_defaults(chosen=command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 could not, 2 asked or configured wrongly."""
    chosen = parser().parse_args(arguments)
    command: Command = chosen.chosen
    console = Console()
    try:
        if command.extra:
            require(command.extra)
        return command.run(chosen, console)
    except SettingsError as why:
        console.problem(f"these settings cannot be used:\n{why}")
        return 2
    except Problem as why:
        console.problem(str(why))
        return why.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone. Python would complain again while it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
