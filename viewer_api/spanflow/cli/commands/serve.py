"""`spanflow serve`: the API server and the dashboard."""

import argparse
import dataclasses
import gc
import os
import socket
import time
from typing import TYPE_CHECKING

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.extras import VIEWER
from spanflow.cli.problem import Problem
from spanflow.cli.running_stack import with_running_stack

if TYPE_CHECKING:
    import uvicorn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (SPANFLOW_VIEWER_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (SPANFLOW_VIEWER_PORT)")
    parser.add_argument("--fd", type=int, help="serve on an inherited listening socket, by file descriptor number")
    parser.add_argument("--no-link", action="store_true", help="do not print a sign-in link")


def link(address: str, token: str, secret: str = "") -> str:
    """A link that signs one browser in, once, within ten minutes. The code never leaves the browser's address bar."""
    from spanflow.viewer_api.auth.authenticator import one_time_code

    return f"{address}/#code={one_time_code(token, time.time, secret)}"


def run(arguments: Arguments, console: Console) -> int:
    from opentelemetry import context

    from spanflow.span_processors.stages.own_thread import suppressed_context
    from spanflow.viewer_api.app import create_app
    from spanflow.viewer_api.auth.exposure import is_loopback, settled
    from spanflow.viewer_api.operations import logs
    from spanflow.viewer_api.operations.server import ViewerServer, configured
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    # A viewer that traces itself would fill the data it shows with its own requests, whatever instruments it.
    os.environ["SPANFLOW_ENABLED"] = "false"
    context.attach(suppressed_context())
    settings = ViewerSettings.from_environ(with_running_stack(os.environ, ViewerSettings))
    if arguments.host is not None:
        settings = dataclasses.replace(settings, viewer_host=arguments.host)
    if arguments.port is not None:
        settings = dataclasses.replace(settings, viewer_port=arguments.port)
    handed_over = None if arguments.fd is None else _handed_over(arguments.fd)
    if handed_over is not None and _has_port(handed_over):
        # Who can reach it was decided where it was opened.
        settings = dataclasses.replace(settings, viewer_host=handed_over.getsockname()[0])
    settings = settled(settings)
    logs.configure(settings.log_format, settings.log_level)
    configuration = configured(create_app(settings), settings)
    listener = handed_over or _bound(configuration)
    try:
        if _has_port(listener):
            # Its connections inherit this. asyncio would leave it out, so that without uvloop answers took 40 ms more.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not arguments.no_link and _has_port(listener) and is_loopback(settings.viewer_host):
            host, port = listener.getsockname()[:2]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            console.result(f"Open {link(address, settings.viewer_token, settings.viewer_secret)}")
        # What was loaded by now stays: a full collection would look through all of it while live clients wait.
        gc.collect()
        gc.freeze()
        ViewerServer(configuration, settings.viewer_stop_seconds).run(sockets=[listener])
    finally:
        listener.close()
    return 0


def _handed_over(number: int) -> socket.socket:
    try:
        return socket.socket(fileno=number)
    except OSError as why:
        raise Problem(f"--fd {number} is no open socket ({why.strerror}).") from None


def _has_port(listener: socket.socket) -> bool:
    """Whether it is on a network; a browser cannot open the others."""
    return listener.family in {socket.AF_INET, socket.AF_INET6}


def _bound(configuration: "uvicorn.Config") -> socket.socket:
    try:
        return configuration.bind_socket()
    except SystemExit:  # uvicorn has said what the system said, and would end the process
        where = f"{configuration.host}:{configuration.port}"
        raise Problem(f"the viewer cannot listen on {where}. Choose another with --port or --host.") from None


COMMAND = Command(
    name="serve",
    aliases=("viewer",),
    help="serve the API and the dashboard",
    description="Serve the API and the dashboard. It refuses to listen on an address that other machines can reach "
    "unless a sign-in method is configured: tokens, JWT, OIDC or a forward-auth proxy.",
    run=run,
    add_arguments=add_arguments,
    extra=VIEWER,
)
