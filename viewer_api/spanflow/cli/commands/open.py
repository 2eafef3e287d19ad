"""`spanflow open`: a fresh link to the dashboard, in the browser."""

import argparse
import os
import webbrowser

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument(
        "--print", action="store_true", dest="only_print", help="print the link instead of opening a browser"
    )
    where.add_arguments(parser, json=False)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    viewer = client(arguments, os.environ, console)
    code = viewer.post("/api/v1/session/codes", {})["code"]
    link = f"{viewer.url}/#code={code}"
    console.result(link)
    if not arguments.only_print and not webbrowser.open(link):
        console.note("No browser could be started here: open this link in one. It works once, within ten minutes.")
    return 0


COMMAND = Command(
    name="open",
    help="open the dashboard of a running viewer, signed in",
    description="Create a new link to the dashboard of a running viewer, such as that of `spanflow up`, and open it in "
    "the browser. A link signs one browser in, once, within ten minutes.",
    run=run,
    add_arguments=add_arguments,
)
