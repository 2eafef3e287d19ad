"""`spanflow note`, and flows found by their verdicts, against a real viewer."""

import json

from tests.cli.test_share import FLOW, here
from tests.support.spanflow_command import spanflow

__all__ = ["here"]


def test_notes_are_added_listed_changed_and_removed(here: dict[str, str]) -> None:
    assert "There are no notes" in spanflow("note", "list", FLOW, **here).stderr
    added = spanflow("note", "add", FLOW, "Asked twice.\n\x1b[2Jthen hung", "--verdict", "needs_look", **here)
    assert added.returncode == 0, added.stderr
    listed = spanflow("note", "list", FLOW, **here).stdout.splitlines()
    assert listed[0].endswith(", needs a look") and "operator" in listed[0]
    assert listed[1] == "  Asked twice." and "\x1b" not in listed[2]
    note = json.loads(spanflow("note", "list", FLOW, "--json", **here).stdout)["notes"][0]["note_id"]
    (line,) = spanflow("flows", "--verdict", "needs_look", "--json", **here).stdout.splitlines()
    assert (json.loads(line)["flow_id"], json.loads(line)["verdict"]) == (FLOW, "needs_look")
    assert spanflow("note", "change", FLOW, "Fine.", "--note", note, "--verdict", "good", **here).returncode == 0
    assert spanflow("flows", "--verdict", "needs_look", "--json", **here).stdout == ""
    assert spanflow("note", "delete", FLOW, "--note", note, **here).returncode == 0
    assert json.loads(spanflow("note", "list", FLOW, "--json", **here).stdout)["notes"] == []


def test_what_cannot_be_is_said(here: dict[str, str]) -> None:
    for words, told in (
        (("add", FLOW), "a text or a verdict is needed"),
        (("delete", FLOW), "say which note"),
        (("change", FLOW, "x"), "say which note"),
        (("list", "0" * 32), "There is no flow with this id."),
        (("delete", FLOW, "--note", "0" * 16), "There is no such note"),
    ):
        answer = spanflow("note", *words, **here)
        assert answer.returncode != 0, words
        assert told in answer.stderr, words
