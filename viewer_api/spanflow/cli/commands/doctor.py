"""`spanflow doctor`: what is wrong here, and how to repair it."""

import argparse
import asyncio
import dataclasses
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.running_stack import with_running_stack
from spanflow.span_processors.shared_settings import SharedSettings

if TYPE_CHECKING:  # the clients of both servers take half a second to import, and every command imports this module
    from spanflow.cli.checks.finding import Finding

_MARKS = {"ok": "✓", "note": "·", "warning": "!", "problem": "✗"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--app",
        metavar="MODULE",
        default="",
        help="also import the gateway's module (app:app) and list tracer providers that are not traced",
    )
    parser.add_argument(
        "--selftest", action="store_true", help="send a flow through the real servers and wait for it to arrive"
    )


def run(arguments: Arguments, console: Console) -> int:
    environ = with_running_stack(os.environ, SharedSettings)
    settings = SharedSettings.from_environ(environ)
    titled_findings = asyncio.run(_find_all(settings, environ, arguments.app, arguments.selftest))
    problems = sum(finding.level == "problem" for _, finding in titled_findings)
    if arguments.json:
        findings = [{"check": title, **dataclasses.asdict(finding)} for title, finding in titled_findings]
        console.result(json.dumps({"ok": not problems, "findings": findings}, indent=2))
    else:
        _show(titled_findings, console)
        warnings = sum(finding.level == "warning" for _, finding in titled_findings)
        console.result(f"\n{_count(problems, 'problem')}, {_count(warnings, 'warning')}.")
    return 1 if problems else 0


async def _find_all(
    settings: SharedSettings, environ: Mapping[str, str], module: str, selftest: bool
) -> list[tuple[str, "Finding"]]:
    from spanflow.cli.checks.examination import examine

    findings = [(check.title, finding) async for check, finding in examine(settings, environ, module)]
    if selftest:
        from spanflow.cli.selftest import run_selftest

        findings += [("selftest", finding) async for finding in run_selftest(settings, environ)]
    return findings


def _show(found: list[tuple[str, "Finding"]], console: Console) -> None:
    last = ""
    for title, finding in found:
        if title != last:
            console.result(title)
            last = title
        console.result(f"  {_MARKS[finding.level]} {finding.message}")
        if finding.repair:
            console.result(f"      → {finding.repair}")


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


COMMAND = Command(
    name="doctor",
    help="diagnose this installation and suggest repairs",
    description="Check versions, both servers, the schema, the clocks, and what OpenTelemetry does in a process "
    "started from here. Exits with 1 if something does not work.",
    run=run,
    add_arguments=add_arguments,
)
