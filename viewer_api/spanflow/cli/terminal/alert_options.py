"""Alert rules as they are written on a command line."""

import argparse
import json
from typing import Any, Final

from spanflow.cli.problem import WrongUse

#: Options that state a condition: its kind, and what the number is.
CONDITIONS: Final = {
    "longer-than": ("longer_than", "MS", "a flow took at least this many milliseconds"),
    "slower-than-usual": ("slower_than_usual", "TIMES", "a flow took this many times the usual p95 of its kind"),
    "step-slower-than-usual": (
        "step_slower_than_usual",
        "TIMES",
        "p95 of the steps of a --tool, --mcp-server, --model, --checkpoint or --step is this many times the usual one",
    ),
    "error-rate": ("error_rate", "SHARE", "at least this share of flows failed, such as 0.1"),
    "denial-rate": ("denial_rate", "SHARE", "at least this share of flows was denied"),
    "still-running": ("still_running", "SECONDS", "a flow is still running this long after its start"),
    "no-activity": ("no_activity", "SECONDS", "no flow started, ran or ended for this long"),
    "losses": ("losses", "NUMBER", "at least this many spans or flows were lost"),
}
_FILTERS: Final = ("user", "source", "checkpoint", "step", "tool", "mcp-server", "model")
_RULE: Final = ("for", "resolve", "cooldown")


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    for name, (_, metavar, help) in CONDITIONS.items():
        parser.add_argument(f"--{name}", type=float, metavar=metavar, help=f"condition: {help}")
    parser.add_argument("--warning", type=float, metavar="NUMBER", help="a lower threshold, for warnings")
    parser.add_argument("--window", type=float, metavar="SECONDS", help="evaluation window (300)")
    parser.add_argument(
        "--min-samples", type=int, metavar="N", help="minimum number of samples, for rates and slower-than-usual"
    )
    parser.add_argument(
        "--slowest", action="store_true", help="step-slower-than-usual: the slowest step instead of the p95"
    )
    for name in _FILTERS:
        parser.add_argument(
            f"--{name}",
            action="append",
            metavar="TYPE:NAME" if name == "step" else "VALUE",
            help=f"only flows with this {name}",
        )
    parser.add_argument(
        "--for", type=float, dest="for_", metavar="SECONDS", help="fire after the condition has held this long (0)"
    )
    parser.add_argument("--resolve", type=float, metavar="SECONDS", help="resolve after it has not held this long (60)")
    parser.add_argument(
        "--cooldown", type=float, metavar="SECONDS", help="minimum time between two notifications of firing (300)"
    )
    parser.add_argument(
        "--no-data", choices=("keep", "ok", "alert"), help="state when there are too few samples (keep)"
    )
    parser.add_argument("--channel", action="append", metavar="NAME", help="notify this channel, by name or id")


def stated_rule(arguments: argparse.Namespace, channels: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a rule; only what was said."""
    if not arguments.what:
        raise WrongUse('name the rule: spanflow alerts add "Slow" --longer-than 2000')
    stated = {name: getattr(arguments, name.replace("-", "_")) for name in CONDITIONS}
    given = {name: number for name, number in stated.items() if number is not None}
    if len(given) != 1:
        raise WrongUse(f"state one condition: {', '.join('--' + name for name in CONDITIONS)}.")
    ((name, number),) = given.items()
    condition = {
        "kind": CONDITIONS[name][0],
        "alert": int(number) if name == "losses" else number,
        "warning": arguments.warning,
        "window_seconds": arguments.window,
        "min_samples": arguments.min_samples,
    }
    filters = {
        "user_id" if name == "user" else name.replace("-", "_"): getattr(arguments, name.replace("-", "_"))
        for name in _FILTERS
    }
    if name == "step-slower-than-usual":
        condition |= _step(arguments, filters)
        filters = {}
    rule = {
        "name": arguments.what,
        "condition": _said(condition),
        "filters": _said(filters),
        "for_seconds": arguments.for_,
        "resolve_seconds": arguments.resolve,
        "cooldown_seconds": arguments.cooldown,
        "no_data": arguments.no_data,
        "channels": [_channel_id(word, channels) for word in arguments.channel or ()] or None,
    }
    return _said(rule)


def _step(arguments: argparse.Namespace, filters: dict[str, Any]) -> dict[str, Any]:
    """Which steps a condition is about: they are named as flows are chosen elsewhere."""
    named = [(by, value) for by, values in filters.items() for value in values or ()]
    if len(named) != 1 or named[0][0] in ("user_id", "source"):
        raise WrongUse("name the steps by one of --tool, --mcp-server, --model, --checkpoint and --step.")
    ((by, value),) = named
    return {"by": by, "name": value, "of": "slowest" if arguments.slowest else None}


def _channel_id(word: str, channels: list[dict[str, Any]]) -> str:
    matches = [each["channel_id"] for each in channels if word in (each["name"], each["channel_id"])]
    if len(matches) != 1:
        raise WrongUse(f"{json.dumps(word, ensure_ascii=False)} is {'several channels' if matches else 'no channel'}.")
    return str(matches[0])


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
