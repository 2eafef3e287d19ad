"""`spanflow up`: everything on this machine, with one command."""

import argparse
import os
import select
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace

from spanflow.cli.child import Interrupted
from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.data_directory import DataDirectory
from spanflow.cli.extras import DEMO, EMBEDDED, VIEWER, require
from spanflow.span_processors.data_dir import data_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="port of the viewer, 0 for a free one (SPANFLOW_VIEWER_PORT)")
    parser.add_argument("--demo", action="store_true", help="also run the example gateway and send it traffic")
    parser.add_argument(
        "--collector", action="store_true", help="also run an OpenTelemetry Collector that gateways export to"
    )
    parser.add_argument("--jaeger", action="store_true", help="also run a Jaeger that keeps exported spans in memory")


def run(arguments: Arguments, console: Console) -> int:
    servers_given = all(os.environ.get(name, "").strip() for name in ("SPANFLOW_REDIS_URL", "SPANFLOW_POSTGRES_DSN"))
    require(VIEWER if servers_given else EMBEDDED)
    if arguments.demo:
        require(DEMO)

    from spanflow.cli.demo import Demo
    from spanflow.cli.stop_signals import StopSignals
    from spanflow.cli.tracing_tools import TracingTools
    from spanflow.cli.up import Up
    from spanflow.viewer_api.auth.exposure import settled
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    environ = dict(os.environ)
    if arguments.port is not None:
        environ["SPANFLOW_VIEWER_PORT"] = str(arguments.port)
    configured = ViewerSettings.from_environ(environ)
    settings = settled(configured)
    if not configured.viewer_token:
        # Sessions are signed with it: reusing the last one keeps users signed in over a restart.
        settings = replace(settings, viewer_token=DataDirectory(data_directory(settings)).kept_token())
    demo = Demo.find() if arguments.demo else None
    with StopSignals() as signals, Up(settings, environ, data_directory(settings), console, signals) as up:
        console.note("Starting Spanflow. Ctrl-C stops all of it.")
        try:
            running = up.start(demo, TracingTools.find(arguments.collector, arguments.jaeger, environ))
        except Interrupted:
            return 130
        show = _link_printer(console, running.address, running.token, settings.viewer_secret)
        console.note("")
        if demo is None:
            console.note("Trace a gateway of yours, in another terminal:  spanflow run -- uvicorn app:app")
            if running.environ:
                pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in running.environ.items())
                console.note(f"The servers, for other programs:  {pairs}")
        show()
        up.watch(_on_enter(show))
    return 0


def _link_printer(console: Console, address: str, token: str, secret: str) -> Callable[[], None]:
    from spanflow.cli.commands.serve import link

    def show() -> None:
        another = "press Enter, or run `spanflow open`," if sys.stdin and sys.stdin.isatty() else "run `spanflow open`"
        console.result(f"Open {link(address, token, secret)}  (it works once; {another} for another)")

    return show


def _on_enter(show: Callable[[], None]) -> Callable[[], None]:
    """A link signs in one browser, once: press Enter for another."""

    def idle() -> None:
        # Reading from the terminal in the background would stop us.
        if not sys.stdin or not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
            return
        if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline():
            show()

    return idle


COMMAND = Command(
    name="up",
    help="run Redis, PostgreSQL and the viewer on this machine",
    description="Run everything on this machine: embedded Redis and PostgreSQL (unless SPANFLOW_REDIS_URL and "
    "SPANFLOW_POSTGRES_DSN name servers), the schema, the viewer. Data is kept in SPANFLOW_DATA_DIR. Ctrl-C "
    "stops all of it.",
    run=run,
    add_arguments=add_arguments,
)
