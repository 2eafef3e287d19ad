"""`spanflow export`: flows as files, and all that is known of a person."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.extras import PARQUET, require
from spanflow.cli.problem import Problem, WrongUse
from spanflow.span_processors.ids import IdError, as_id

_FORMATS = ("json", "jsonl", "csv", "otlp", "jaeger", "chrome", "markdown", "html", "parquet")
#: Of a file of these, the last line tells how far it came.
_RESUMABLE = ("jsonl",)
#: Seconds between two words about how far it is.
_TELL = 1.0
_LAST = 64 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("--flow", help="id of one flow; otherwise all stored flows that match")
    parser.add_argument("--user", help="all stored flows of one user, same as --filter user_id=…")
    parser.add_argument(
        "--everything",
        action="store_true",
        help="with --user: everything known about them, not only flows; admins only, needs --reason",
    )
    parser.add_argument("--reason", help="with --everything: reason for the audit log")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FILTER=VALUE",
        help="filter of the API's list of flows, such as user_id=7 or since=3d; repeatable",
    )
    parser.add_argument("--format", choices=_FORMATS, default="jsonl", help="(%(default)s)")
    parser.add_argument("--tokens", type=int, help="markdown: approximate token budget per flow")
    parser.add_argument("-o", "--output", help="output file (default: standard output); for parquet, a folder")
    parser.add_argument("--resume", action="store_true", help="resume an interrupted jsonl export")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.client import Unreachable
    from spanflow.cli.terminal.where import client

    path, params = _asked_of_person(arguments) if arguments.everything else _asked(arguments)
    output = None if arguments.output is None else Path(arguments.output)
    if arguments.resume:
        if output is None or arguments.format not in _RESUMABLE or arguments.flow is not None or arguments.everything:
            raise WrongUse("--resume goes on with a file of many flows (-o) in the format jsonl.")
        params["after"] = _last_flow(output) if output.exists() else None
    if arguments.format == "parquet":
        return _parquet(arguments, output, path, params, console)
    pieces = client(arguments, os.environ, console).download(path, params, reason=arguments.reason)
    if arguments.everything:
        pieces = to_the_end(pieces)
    began = time.monotonic()
    pieces = chain([*islice(pieces, 1)], pieces)  # what the viewer refuses leaves no file, and an older one as it is
    if output is None:
        written = _write(pieces, sys.stdout.buffer, console)
    else:
        try:
            with output.open("ab" if arguments.resume else "wb") as file:
                written = _write(pieces, file, console)
        except Unreachable as why:
            raise Problem(f"{why}{_how_to_resume(arguments)}") from None
        except OSError as why:
            raise Problem(f"{output} cannot be written: {why.strerror or why}.") from None
    summary = {"bytes": written, "seconds": round(time.monotonic() - began, 3), "file": arguments.output}
    console.note(json.dumps(summary) if arguments.json else f"{written:,} bytes written.")
    return 0


def _how_to_resume(arguments: Arguments) -> str:
    resumable = arguments.format in _RESUMABLE and arguments.flow is None and not arguments.everything
    return " The same command with --resume continues it." if resumable else ""


def _parquet(
    arguments: Arguments,
    folder: Path | None,
    path: str,
    params: "dict[str, str | int | None | list[str]]",
    console: Console,
) -> int:
    """The viewer sends lines; the files are made here, a folder per day."""
    from spanflow.cli.terminal.parquet_files import ParquetFiles
    from spanflow.cli.terminal.where import client

    require(PARQUET)
    if folder is None:
        raise WrongUse("a Parquet export is a folder: name it with -o.")
    began = reported_at = time.monotonic()
    pieces = client(arguments, os.environ, console).download(path, {**params, "format": "jsonl"})
    try:
        with ParquetFiles(folder) as files:
            for line in _lines(pieces):
                files.add(line)
                if time.monotonic() - reported_at >= _TELL:
                    reported_at = time.monotonic()
                    console.note(f"{files.steps:,} steps …")
    except OSError as why:
        raise Problem(f"{folder} cannot be written: {why.strerror or why}.") from None
    summary = {"steps": files.steps, "seconds": round(time.monotonic() - began, 3), "folder": arguments.output}
    console.note(json.dumps(summary) if arguments.json else f"{files.steps:,} steps written.")
    return 0


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _asked_of_person(arguments: Arguments) -> tuple[str, dict[str, str | int | None | list[str]]]:
    if arguments.user is None or arguments.flow is not None or arguments.filter or arguments.format != "jsonl":
        raise WrongUse("--everything is of one --user, in the format jsonl.")
    if not (arguments.reason or "").strip():
        raise WrongUse("say why, with --reason: it goes to the audit log.")
    try:
        user = as_id(arguments.user)
    except IdError as why:
        raise WrongUse(f"a user's id {why}.") from None
    return f"/api/v1/users/{quote(user, safe='')}/export", {}


def to_the_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; a problem when the last line is not the one that ends such a file."""
    tail = b""
    for piece in pieces:
        tail = (tail + piece)[-_LAST:]
        yield piece
    if not tail.endswith(b"\n") or not tail[:-1].rpartition(b"\n")[2].startswith(b'{"kind":"end"'):
        raise Problem("The file broke off. Export it again.")


def _asked(arguments: Arguments) -> tuple[str, dict[str, str | int | None | list[str]]]:
    from spanflow.cli.terminal.flow_filters import filter_pairs

    params: dict[str, str | int | None | list[str]] = {"format": arguments.format, "tokens": arguments.tokens}
    if arguments.flow is not None:
        try:
            flow_id = as_id(arguments.flow)
        except IdError as why:
            raise WrongUse(f"{arguments.flow!r} is no id of a flow: {why}.") from None
        if arguments.filter or arguments.user is not None:
            raise WrongUse("--filter and --user are for many flows, --flow for one.")
        return f"/api/v1/flows/{quote(flow_id, safe='')}/export", params
    filters: dict[str, list[str]] = {} if arguments.user is None else {"user_id": [arguments.user]}
    for name, value in filter_pairs(arguments.filter, datetime.now(UTC)):
        if name in params:
            raise WrongUse(f"{name!r} is no filter, but an option: --{name}.")
        filters.setdefault(name, []).append(value)
    return "/api/v1/export", {**params, **filters}


def _write(pieces: Iterator[bytes], file: BinaryIO, console: Console) -> int:
    """Everything, told on stderr now and then; how many bytes it was."""
    written, reported_at = 0, time.monotonic()
    for piece in pieces:
        file.write(piece)
        written += len(piece)
        if time.monotonic() - reported_at >= _TELL:
            reported_at = time.monotonic()
            console.note(f"{written:,} bytes …")
    file.flush()
    return written


def _last_flow(output: Path) -> str | None:
    """The last flow that came whole; what came of the next one is cut off."""
    with output.open("r+b") as file:
        end = start = file.seek(0, os.SEEK_END)
        tail = b""
        while start and tail.count(b"\n") < 2:
            step = min(_LAST, start)
            start -= step
            file.seek(start)
            tail = file.read(step) + tail
        whole = tail.rpartition(b"\n")[0]
        file.truncate(end - len(tail) + (len(whole) + 1 if whole else 0))
    if not whole:
        return None
    try:
        return str(json.loads(whole.rpartition(b"\n")[2])["flow_id"])
    except (ValueError, KeyError, TypeError):
        raise Problem(f"{output} is no file of flows in the format jsonl.") from None


COMMAND = Command(
    name="export",
    help="write flows to a file: JSON, CSV, OTLP, Jaeger, trace events, Markdown, HTML, Parquet",
    description="Write one flow, all stored flows that match, or everything known about a person to a file. Progress "
    "is shown on stderr.",
    run=run,
    add_arguments=add_arguments,
)
