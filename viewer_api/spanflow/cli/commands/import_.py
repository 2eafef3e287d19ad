"""`spanflow import`: flows from a file into a viewer."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem

#: Bytes of lines that are sent at once, and what the viewer takes in one request.
_AT_ONCE = 4 * 1024 * 1024
_MOST = 16 * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("file", help="an export (json, jsonl) or OTLP/JSON; - for standard input")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    viewer = client(arguments, os.environ, console)
    total = {"flows": 0, "spans": 0, "otlp_requests": 0}
    try:
        with closing(sys.stdin.buffer if arguments.file == "-" else Path(arguments.file).open("rb")) as file:
            for lines in _pieces(file):
                answer = viewer.upload("/api/v1/import", lines, "application/x-ndjson")
                total = {name: total[name] + answer[name] for name in total}
                console.note(f"{total['spans']:,} spans …")
    except OSError as why:
        raise Problem(f"{arguments.file} cannot be read: {why.strerror or why}.") from None
    if arguments.json:
        console.result(json.dumps(total))
    else:
        console.result(f"{total['spans']:,} spans were accepted and are being stored.")
    return 0


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines together; a file that is one JSON document over many lines as a whole."""
    first = file.readline()
    if not first.strip():
        return
    try:
        json.loads(first)
    except ValueError:
        whole = first + file.read(_MOST)
        if len(whole) > _MOST:
            raise Problem(f"a file of more than {_MOST:,} bytes must have a flow per line: export jsonl.") from None
        yield whole
        return
    waiting, size = [first], len(first)
    for line in file:
        if size + len(line) > _AT_ONCE:
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(line)
        size += len(line)
    yield b"".join(waiting)


COMMAND = Command(
    name="import",
    help="import flows from a file: an export (json, jsonl) or OTLP/JSON",
    description="Send the flows of a file to a viewer, which redacts and stores them. Flows that already exist are "
    "merged. Needs a token with the role ingest or admin. Progress is shown on stderr.",
    run=run,
    add_arguments=add_arguments,
)
