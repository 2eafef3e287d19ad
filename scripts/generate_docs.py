"""Write the pages that are made from the code. With `--check`, only say whether they are current."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from spanflow.cli.command import Command
from spanflow.cli.main import COMMANDS
from spanflow.cli.settings_table import markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"

COMMANDS_HEAD = """\
<!-- Made by `make docs` from spanflow/cli/commands. Change those files instead. -->

# The `spanflow` command
"""


def main(arguments: list[str]) -> int:
    pages = {DOCS / "settings.md": markdown().rstrip("\n") + "\n", DOCS / "commands.md": commands_page()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stdout.write(f"docs/{path.name} is out of date: make docs\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")
        sys.stdout.write(f"wrote docs/{path.name}\n")
    return 0


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
