"""`spanflow alerts`: rules, what they have found, and where that is sent."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spanflow.cli.command import Arguments, Command
from spanflow.cli.console import Console
from spanflow.cli.problem import WrongUse

if TYPE_CHECKING:
    from spanflow.cli.terminal.client import ViewerClient

_PATH = "/api/v1/alerts"
_COLOURS = {"alert": "red", "warning": "yellow"}
_ACTIONS = {
    "list": "rules and their states",
    "events": "when rules fired and resolved",
    "deliveries": "notifications sent, and their outcome",
    "losses": "what each gateway and viewer lost in the past --days",
    "channels": "where notifications go",
    "add": "create a rule",
    "preview": "how often a rule would have fired",
    "snooze": "mute a rule for --seconds; 0 unmutes it",
    "enable": "resume evaluating a rule",
    "disable": "stop evaluating a rule",
    "delete": "delete a rule",
    "add-channel": "create a channel",
    "test": "send a test notification",
    "delete-channel": "delete a channel",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from spanflow.cli.terminal import where
    from spanflow.cli.terminal.alert_options import add_rule_options

    told = "; ".join(f"{name}: {what}" for name, what in _ACTIONS.items())
    parser.add_argument("action", nargs="?", default="list", choices=list(_ACTIONS), metavar="ACTION", help=told)
    parser.add_argument("what", nargs="?", metavar="NAME", help="name or id of the rule or channel")
    add_rule_options(parser)
    parser.add_argument(
        "--days", type=float, default=1, help="preview (at most 7), losses: number of past days (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=3600, help="snooze: duration (%(default)s)")
    parser.add_argument("--limit", type=int, default=50, help="events, deliveries: maximum number (%(default)s)")
    parser.add_argument(
        "--kind", choices=("webhook", "log", "apprise"), default="webhook", help="type of a new channel"
    )
    parser.add_argument("--webhook", metavar="URL", help="add-channel: where messages are posted")
    parser.add_argument("--tag", help="add-channel --kind apprise: a tag of the viewer's Apprise file")
    where.add_arguments(parser)


def run(arguments: Arguments, console: Console) -> int:
    from spanflow.cli.terminal.where import client

    viewer = client(arguments, os.environ, console)
    done = _DO[arguments.action](viewer, arguments)
    if arguments.json:
        console.result(json.dumps(done, ensure_ascii=False))
    else:
        _TELL[arguments.action](done, console)
    return 1 if arguments.action == "test" and not done["delivered"] else 0


def _events(viewer: "ViewerClient", arguments: Arguments) -> Any:
    rule = _rule_id(viewer, arguments.what) if arguments.what else None
    return viewer.get(f"{_PATH}/events", {"limit": max(1, arguments.limit), "rule_id": rule})


def _deliveries(viewer: "ViewerClient", arguments: Arguments) -> Any:
    rule = _rule_id(viewer, arguments.what) if arguments.what else None
    return viewer.get(f"{_PATH}/deliveries", {"limit": max(1, arguments.limit), "rule_id": rule})


def _losses(viewer: "ViewerClient", arguments: Arguments) -> Any:
    since = datetime.now(UTC) - timedelta(days=arguments.days)
    return viewer.get(f"{_PATH}/losses", {"since": since.isoformat()})


def _stated(viewer: "ViewerClient", arguments: Arguments) -> dict[str, Any]:
    from spanflow.cli.terminal.alert_options import stated_rule

    return stated_rule(arguments, _channels(viewer) if arguments.channel else [])


def _preview(viewer: "ViewerClient", arguments: Arguments) -> Any:
    since = datetime.now(UTC) - timedelta(days=arguments.days)
    return viewer.post(f"{_PATH}/preview", {**_stated(viewer, arguments), "since": since.isoformat()})


def _switch(viewer: "ViewerClient", arguments: Arguments) -> Any:
    rule = _rule(viewer, arguments.what)
    names = (
        *("name", "condition", "filters", "for_seconds", "resolve_seconds", "cooldown_seconds", "flapping_changes"),
        *("flapping_seconds", "no_data", "channels", "version"),
    )
    body = {name: rule[name] for name in names} | {"enabled": arguments.action == "enable"}
    return viewer.put(f"{_PATH}/{rule['rule_id']}", body)


def _add_channel(viewer: "ViewerClient", arguments: Arguments) -> Any:
    if not arguments.what:
        raise WrongUse("name the channel: spanflow alerts add-channel on-call --webhook https://hooks.example.com/…")
    body = {"kind": arguments.kind, "name": arguments.what, "url": arguments.webhook, "tag": arguments.tag}
    return viewer.post(f"{_PATH}/channels", {name: value for name, value in body.items() if value is not None})


def _rule(viewer: "ViewerClient", word: str | None) -> dict[str, Any]:
    rules = viewer.get(_PATH)["rules"]
    return _only(word, [rule for rule in rules if word in (rule["name"], rule["rule_id"])], "rule")


def _rule_id(viewer: "ViewerClient", word: str | None) -> str:
    return quote(str(_rule(viewer, word)["rule_id"]), safe="")


def _channels(viewer: "ViewerClient") -> list[dict[str, Any]]:
    channels: list[dict[str, Any]] = viewer.get(f"{_PATH}/channels")["channels"]
    return channels


def _channel_id(viewer: "ViewerClient", word: str | None) -> str:
    matches = [each for each in _channels(viewer) if word in (each["name"], each["channel_id"])]
    return quote(str(_only(word, matches, "channel")["channel_id"]), safe="")


def _only(word: str | None, found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if word is None:
        raise WrongUse(f"say which {what}, by its name or id.")
    if len(found) != 1:
        raise WrongUse(
            f"there {'is no' if not found else 'are several'} {what} {json.dumps(word, ensure_ascii=False)}."
        )
    return found[0]


_DO: dict[str, Callable[["ViewerClient", Arguments], Any]] = {
    "list": lambda viewer, arguments: viewer.get(_PATH),
    "events": _events,
    "deliveries": _deliveries,
    "losses": _losses,
    "channels": lambda viewer, arguments: viewer.get(f"{_PATH}/channels"),
    "add": lambda viewer, arguments: viewer.post(_PATH, _stated(viewer, arguments)),
    "preview": _preview,
    "snooze": lambda viewer, arguments: viewer.post(
        f"{_PATH}/{_rule_id(viewer, arguments.what)}/snooze", {"seconds": arguments.seconds}
    ),
    "enable": _switch,
    "disable": _switch,
    "delete": lambda viewer, arguments: viewer.delete(f"{_PATH}/{_rule_id(viewer, arguments.what)}"),
    "add-channel": _add_channel,
    "test": lambda viewer, arguments: viewer.post(f"{_PATH}/channels/{_channel_id(viewer, arguments.what)}/test", None),
    "delete-channel": lambda viewer, arguments: viewer.delete(
        f"{_PATH}/channels/{_channel_id(viewer, arguments.what)}"
    ),
}


def _tell_rules(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    if not answer["rules"]:
        console.note('There are no rules. Make one: spanflow alerts add "Slow" --longer-than 2000')
        return
    rows = [
        [
            clean(rule["name"]),
            rule["state"] + (f" ({rule['level']})" if rule["level"] else ""),
            moment(rule["since"]) if rule["since"] else "",
            _value(rule),
            f"{rule['condition']['kind']} {rule['condition']['alert']:g}",
            rule["rule_id"],
            rule["problem"] or "",
        ]
        for rule in answer["rules"]
    ]
    _table(("RULE", "STATE", "SINCE", "VALUE", "CONDITION", "ID", "PROBLEM"), rows, console)


def _tell_rule(rule: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    until = f" until {moment(rule['snoozed_until'])}" if rule["snoozed_until"] else ""
    console.result(f"{clean(rule['name'])} ({rule['rule_id']}): {rule['state']}{until}")


def _tell_events(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    rows = [
        [
            moment(event["at"]),
            event["kind"] + (f" ({event['level']})" if event["level"] else ""),
            clean(event.get("name", "")),
            _value(event),
            event.get("suppressed") or "",
            " ".join(event["flow_ids"][:2]),
        ]
        for event in answer["events"]
    ]
    if not rows:
        console.note("Nothing has happened.")
        return
    _table(("WHEN", "WHAT", "RULE", "VALUE", "SUPPRESSED", "FLOWS"), rows, console)


def _tell_deliveries(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    rows = [
        [
            moment(each["created_at"]),
            clean(each["channel"]),
            each["outcome"],
            str(each["attempts"]),
            str(each["http_status"] or ""),
            clean(each["problem"] or ""),
        ]
        for each in answer["deliveries"]
    ]
    if not rows:
        console.note("Nothing was sent.")
        return
    _table(("WHEN", "CHANNEL", "OUTCOME", "ATTEMPTS", "STATUS", "PROBLEM"), rows, console)


def _tell_losses(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean, moment

    rows = [
        [
            moment(line["last_at"]),
            clean(line["service"] or ""),
            clean(line["process"] or ""),
            line["kind"],
            clean(line["cause"] or ""),
            str(line["number"]),
        ]
        for line in answer["losses"]
    ]
    if not rows:
        console.note("Nothing was lost.")
        return
    _table(("LAST", "SERVICE", "PROCESS", "KIND", "CAUSE", "NUMBER"), rows, console)


def _tell_channels(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean

    rows = [
        [
            clean(each["name"]),
            each["kind"],
            clean(each["origin"] or each["tag"] or ""),
            "" if each["enabled"] else "disabled",
            each["channel_id"],
        ]
        for each in answer["channels"]
    ]
    if not rows:
        console.note("There are no channels. Make one: spanflow alerts add-channel on-call --webhook https://…")
        return
    _table(("CHANNEL", "KIND", "WHERE", "STATE", "ID"), rows, console)


def _tell_preview(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import moment

    span = f"{moment(answer['since'])} to {moment(answer['until'])}"
    console.result(f"{span}, {answer['flows']} flows{' (the newest)' if answer['shortened'] else ''}:")
    console.result(
        f"fired {answer['fired']} times, flapped {answer['flapping']} times, {answer['notifications']} notifications, "
        f"{answer['active_seconds']:.0f} s active"
    )
    if answer["events"]:
        _tell_events(answer, console)


def _tell_channel(channel: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean

    console.result(f"{clean(channel['name'])} ({channel['channel_id']})")
    if channel.get("secret"):
        console.result(f"Its secret, which is not shown again: {channel['secret']}")


def _tell_test(answer: dict[str, Any], console: Console) -> None:
    from spanflow.cli.terminal.wording import clean

    if answer["delivered"]:
        console.result("Delivered.")
    else:
        console.problem(f"it was not delivered: {clean(answer['problem'])}.")


def _tell_deleted(answer: dict[str, Any], console: Console) -> None:
    console.result("Deleted.")


_TELL = {
    "list": _tell_rules,
    "events": _tell_events,
    "deliveries": _tell_deliveries,
    "losses": _tell_losses,
    "channels": _tell_channels,
    "add": _tell_rule,
    "preview": _tell_preview,
    "snooze": _tell_rule,
    "enable": _tell_rule,
    "disable": _tell_rule,
    "delete": _tell_deleted,
    "add-channel": _tell_channel,
    "test": _tell_test,
    "delete-channel": _tell_deleted,
}


def _value(shown: dict[str, Any]) -> str:
    return "" if shown["value"] is None else f"{shown['value']:.4g} {shown.get('unit', '')}".strip()


def _table(head: tuple[str, ...], rows: list[list[str]], console: Console) -> None:
    from spanflow.cli.terminal.wording import paint_for, table

    paint = paint_for(sys.stdout)
    first, *lines = table(head, rows)
    console.result(paint(first, "dim"))
    for line, row in zip(lines, rows, strict=True):
        colour = next((colour for level, colour in _COLOURS.items() if f"({level})" in row[1]), None)
        console.result(paint(line, colour) if colour else line)


COMMAND = Command(
    name="alerts",
    help="manage alert rules and notification channels",
    description="List, create, preview, snooze and delete alert rules, and manage notification channels.",
    run=run,
    add_arguments=add_arguments,
)
