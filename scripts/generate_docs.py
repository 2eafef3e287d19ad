"""Write the pages that are made from the code. With `--check`, only say whether they are current."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.compatibility_page import compatibility_page
from scripts.draw_architecture import PICTURE, picture
from spanflow.cli.command import Command
from spanflow.cli.main import COMMANDS
from spanflow.cli.settings_table import markdown
from spanflow.span_processors.self_metrics import METRICS

DOCS = Path(__file__).resolve().parent.parent / "docs"

COMMANDS_HEAD = """\
<!-- Made by `make docs` from spanflow/cli/commands. Change those files instead. -->

# The `spanflow` command
"""

METRICS_HEAD = """\
<!-- Made by `make docs` from spanflow/span_processors/self_metrics.py. Change that file instead. -->

# Metrics of a gateway

A gateway reports these metrics through its process's own OpenTelemetry meter provider; without one, nothing is sent.
For the viewer's metrics see [Operating the viewer](operating-the-viewer.md#metrics).

| metric | kind | unit | per stage | meaning |
|---|---|---|---|---|
"""

METRICS_TAIL = """\

The counter `spanflow.identity.extractor.failures` (`{call}`, `error.type`) counts failures and timeouts of
[your own identity extractors](identity.md#from-your-own-middlewares-data); it appears with the first failure.

Metrics per stage carry `otel.component.type = spanflow_span_processor` and `otel.component.name`:

| `otel.component.name` | an item is | between |
|---|---|---|
| `spanflow_span_processor/intake` | a span's start, update or end; an identity | requests and the encoder |
| `spanflow_span_processor/mirror` | an event, an index entry, a notification | the encoder and Redis |
| `spanflow_span_processor/postgres` | a finished flow, or this process's part of one | the encoder and Postgres |

For each stage `accepted = processed (all of error.type) + queue.size` always holds. The values of `error.type` are
in [Architecture](architecture.md#what-is-counted).

## What to alert on

- `otel.sdk.processor.span.processed` with an `error.type` rises: data is lost, for that reason.
- `spanflow.processor.lag` stays above some seconds: Redis or Postgres is unavailable, or slower than the traffic.
- `spanflow.spool.size` grows for longer than an outage lasts: Postgres is too slow for the traffic.
- `spanflow.spool.usable` is 0, or `spanflow.spool.unreadable` is not: see [Outages](outages.md).
- `spanflow.archive.poisoned` rises: look into the table `poison_records`.
"""


def main(arguments: list[str]) -> int:
    pages = {
        DOCS / "settings.md": markdown().rstrip("\n") + "\n",
        DOCS / "commands.md": commands_page(),
        DOCS / "metrics.md": metrics_page(),
        DOCS / "compatibility.md": compatibility_page(),
        PICTURE: picture(),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stdout.write(f"docs/{path.relative_to(DOCS)} is out of date: make docs\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
        sys.stdout.write(f"wrote docs/{path.relative_to(DOCS)}\n")
    return 0


def metrics_page() -> str:
    rows = [
        f"| `{metric.name}` | {metric.kind} | `{metric.unit}` | {'yes' if metric.per_stage else ''} | {metric.help} |"
        for metric in METRICS
    ]
    return METRICS_HEAD + "\n".join(rows) + "\n" + METRICS_TAIL


def commands_page() -> str:
    return COMMANDS_HEAD + "".join(f"\n{section(command)}" for command in COMMANDS)


def section(command: Command) -> str:
    """Not argparse's own text: that one differs between versions of Python and widths of terminals."""
    parser = argparse.ArgumentParser(add_help=False)
    command.add_arguments(parser)
    lines = [f"## `spanflow {command.name}`", "", command.description]
    if command.aliases:
        lines += ["", f"Also called {', '.join(f'`spanflow {name}`' for name in command.aliases)}."]
    if command.extra:
        lines += ["", f"Needs `pip install '{command.extra}'`."]
    rows = list(options(parser))
    if rows:
        lines += ["", "| option | what it does |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        value = action.metavar or action.dest.upper()
        shown = ", ".join(action.option_strings) or str(value)
        if action.option_strings and action.nargs != 0:
            shown += f" {value}"
        help_text = (action.help or "") % {"default": action.default, "prog": "spanflow"}
        yield f"| `{shown}` | {help_text.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
