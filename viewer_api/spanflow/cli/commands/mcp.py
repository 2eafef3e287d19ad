"""`spanflow mcp`: the questions of an operator, for agents."""

import argparse
import os
from collections.abc import Mapping

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.extras import MCP
from spanflow.cli.problem import Problem, WrongUse
from spanflow.cli.terminal.client import ViewerClient

_BEARER = "bearer "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.agents.answer import DEFAULT_BUDGET
    from spanflow.cli.terminal import where

    parser.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on with --http (%(default)s)")
    parser.add_argument("--port", type=int, default=8601, help="port to listen on with --http (%(default)s)")
    parser.add_argument(
        "--budget", type=int, default=DEFAULT_BUDGET, help="maximum characters per answer (%(default)s)"
    )
    where.add_arguments(parser, json=False)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.agents.answer import SMALLEST_BUDGET
    from spanflow.cli.agents.tool_server import build
    from spanflow.cli.terminal.where import client

    if arguments.budget < SMALLEST_BUDGET:
        raise WrongUse(f"--budget must be {SMALLEST_BUDGET} or more.")
    viewer = client(arguments, os.environ, console)
    if not arguments.http:
        build(lambda headers: viewer, arguments.budget).run("stdio")
        return 0
    console.note(f"Serving MCP at http://{arguments.host}:{arguments.port}/mcp for {viewer.url}.")
    server = build(lambda headers: as_caller(viewer, headers), arguments.budget)
    server.run("streamable-http", host=arguments.host, port=arguments.port, stateless_http=True)
    return 0


def as_caller(viewer: ViewerClient, headers: Mapping[str, str] | None) -> ViewerClient:
    """The viewer with the caller's own rights, never those of the user who started the server."""
    given = (headers or {}).get("authorization", "")
    token = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
    if not token:
        raise Problem("send the access token of the viewer as `Authorization: Bearer …`.")
    return ViewerClient(viewer.url, token)


COMMAND = Command(
    name="mcp",
    help="let agents ask about flows over MCP",
    description="Serve the Model Context Protocol on standard input and output, or over HTTP: agents can ask what a "
    "user is waiting for, find flows and inspect their steps. They see what the access token allows; over "
    "HTTP each caller sends its own token. Every call is audited.",
    run=run,
    add_arguments=add_arguments,
    extra=MCP,
)
