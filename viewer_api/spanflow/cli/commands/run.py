"""`spanflow run`: start a gateway with tracing enabled, without a change to its code."""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem
from spanflow.cli.python_program import PythonProgram, python_program
from spanflow.cli.running_stack import with_running_stack
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="only report a gateway that cannot be traced")
    parser.add_argument(
        "command_line",
        nargs=argparse.REMAINDER,
        metavar="-- command …",
        help="the command that starts the gateway, such as: uvicorn app:app",
    )


def environment_of_gateway(environ: Mapping[str, str]) -> dict[str, str]:
    """Switched on, with our distro: with several installed, OpenTelemetry takes whichever it happens to find first."""
    ours = {"OTEL_PYTHON_DISTRO": "spanflow", "OTEL_PYTHON_CONFIGURATOR": "spanflow"}
    return {**ours, **environ, "SPANFLOW_ENABLED": "true"}


def _program(name: str) -> str:
    """Where the program is: on PATH, or beside our own Python, whose environment need not be activated."""
    here = os.path.dirname(sys.executable)
    program = shutil.which(name) or shutil.which(name, path=here)
    if program is None:
        raise Problem(f"there is no program {name!r} on PATH, nor in {here}.")
    return program if shutil.which(name) is None else name


def run(arguments: Arguments, console: Console) -> int:
    command = arguments.command_line[1:] if arguments.command_line[:1] == ["--"] else arguments.command_line
    if not command:
        raise Problem("say what to run, for example: spanflow run -- uvicorn app:app")
    command[0] = _program(command[0])
    try:
        environ = with_running_stack(os.environ, Settings)
        settings = Settings.from_environ(environ)
    except SettingsError as mistakes:
        # A gateway that serves people untraced is better than one that does not start.
        console.problem(f"these settings cannot be used, so {command[0]} runs untraced:\n{mistakes}")
        os.execvp(command[0], command)
    python = python_program(command)
    if python.problem:
        console.problem(f"{command[0]} runs untraced: {python.problem}")
        os.execvp(command[0], command)
    os.environ.update(environment_of_gateway(environ))
    if not arguments.quiet:
        _announce(command[0], python, settings, console)
    # Imported late: it reads the environment. It replaces this process by the command.
    from opentelemetry.instrumentation.auto_instrumentation import run as replace_this_process

    # Behind `--`, options such as --config are the command's own.
    sys.argv = ["opentelemetry-instrument", "--", *command]
    replace_this_process()
    return 0


def _announce(program: str, python: PythonProgram, settings: Settings, console: Console) -> None:
    from spanflow.cli.announcement import announcement, first_flow_mark, viewer_address

    viewer = viewer_address(os.environ, settings)
    for line in announcement(program, python, settings, viewer):
        console.note(f"spanflow: {line}")
    os.environ.update(first_flow_mark(viewer) if settings.archive_enabled else {})


COMMAND = Command(
    name="run",
    help="start a gateway with tracing enabled",
    description="Start a command under opentelemetry-instrument with SPANFLOW_ENABLED=true. Without settings it uses "
    "the servers of a running `spanflow up`.",
    run=run,
    add_arguments=add_arguments,
)
