"""`spanflow show`: one flow as a tree."""

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import Problem, WrongUse
from spanflow.span_processors.ids import IdError, as_id

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient
    from spanflow.cli.terminal.wording import Paint

_PIPE_COLUMNS = 120
_SHORTENED = re.compile("[0-9a-fA-F]{6,31}")
_MOST_NAMED = 5
#: Why prompts, answers, arguments and results are not among what is shown.
_CONTENTS = {
    "off": "not recorded, by policy (SPANFLOW_CONTENT=off)",
    "hash": "recorded as fingerprints only, by policy (SPANFLOW_CONTENT=hash)",
    "mixed": "not recorded by all processes of this flow (SPANFLOW_CONTENT)",
    "withheld": "not shown: this user is watched without contents",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where

    parser.add_argument("flow_id", nargs="?", help="flow id, or a prefix of at least 6 digits")
    parser.add_argument("--file", help="show the flows of an exported or OTLP/JSON file, without a viewer")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.flow_files import flows_of

    if (arguments.flow_id is None) is (arguments.file is None):
        raise WrongUse("name a flow by its id, or a file.")
    shown = _asked(arguments, console) if arguments.file is None else flows_of(arguments.file)
    for number, flow in enumerate(shown):
        if arguments.json:
            console.result(json.dumps(flow, ensure_ascii=False))
            continue
        if number:
            console.result("")
        _show(flow, console)
    return 0


def _asked(arguments: Arguments, console: Console) -> Iterator[dict[str, Any]]:
    from spanflow.cli.terminal.where import client

    try:
        given = as_id(arguments.flow_id)
    except IdError as why:
        raise WrongUse(f"{arguments.flow_id!r} is no id of a flow: {why}.") from None
    viewer = client(arguments, os.environ, console)
    flow_id = _whole_id(viewer, given)
    yield viewer.get(f"/api/v1/flows/{quote(flow_id, safe='')}/flat")


def _show(flow: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.tree_lines import Style, tree_lines
    from spanflow.cli.terminal.wording import paint_for

    paint = paint_for(sys.stdout)
    columns = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else _PIPE_COLUMNS
    for line in _head(flow, paint):
        console.result(line)
    path = frozenset(flow["critical_path"])
    now = time.time_ns() if flow["open"] else None
    for line in tree_lines(flow["spans"], Style(paint, max(30, columns), now, path)):
        console.result(line)
    if path:
        console.result(paint("\n◆ these steps make up the duration: shorten one, and the flow is shorter", "dim"))


def _whole_id(viewer: "ViewerClient", given: str) -> str:
    """The id that begins with what was given, as `spanflow tail` shortens ids."""
    if not _SHORTENED.fullmatch(given):
        return given
    matches = [flow["flow_id"] for flow in viewer.get("/api/v1/flows", {"id": given, "limit": _MOST_NAMED})["flows"]]
    if len(matches) > 1:
        raise Problem(f"several flows begin with {given}: {', '.join(matches)}.")
    return matches[0] if matches else given


def _head(flow: dict[str, Any], paint: "Paint") -> Iterator[str]:
    """Whose flow it is, and what came of it."""
    from spanflow.cli.terminal.wording import clean, duration, moment, reason_of
    from spanflow.span_processors.tree.tree import NS_PER_MS

    took = flow.get("duration_ms")
    outcome = "running" if flow["open"] else str(flow.get("outcome"))
    facts = {
        "name": flow.get("name"),
        "user": flow.get("user_id"),
        "session": flow.get("session_id"),
        "conversation": flow.get("conversation_id"),
        "started": moment(flow.get("started_at")),
        "outcome": outcome if took is None else f"{outcome} after {duration(int(took * NS_PER_MS))}",
        "because": reason_of(flow),
        "tokens": _tokens(flow),
        "contents": _CONTENTS.get(str(flow.get("contents"))),
    }
    yield paint(f"Flow {clean(flow['flow_id'])}", "bold")
    for name, value in facts.items():
        if value not in (None, ""):
            yield f"  {name:<14}{clean(value)}"
    yield ""


def _tokens(flow: dict[str, Any]) -> str:
    into, out = flow.get("tokens_input") or 0, flow.get("tokens_output") or 0
    return f"{into} in, {out} out" if into or out else ""


COMMAND = Command(
    name="show",
    help="show one flow as a tree, with durations and critical path",
    description="Show one flow, running or past, as a tree: durations, outcomes and the critical path (the steps that "
    "determine the flow's duration).",
    run=run,
    add_arguments=add_arguments,
)
