"""`spanflow settings`: every setting, what it is now, and never a secret."""

import json
from dataclasses import MISSING

from inline_snapshot import snapshot

from spanflow.cli import settings_table
from spanflow.cli.setting_roles import all_rows
from tests.support.spanflow_command import spanflow


def test_every_setting_is_in_both_forms() -> None:
    plain, page = settings_table.plain({}), settings_table.markdown()
    for row in all_rows():
        assert f"  {row.metadata['env']} = " in plain
        assert f"| `{row.metadata['env']}` |" in page


def test_every_row_has_a_name_of_its_own_and_a_help_text() -> None:
    rows = all_rows()
    names = [row.metadata["env"] for row in rows]
    assert len(rows) > 110
    assert len(names) == len(set(names))
    assert all(name.startswith("SPANFLOW_") for name in names)
    assert all(row.metadata["help"].endswith(".") for row in rows)
    assert all(row.default is not MISSING for row in rows)


def test_the_page_tells_whose_each_setting_is() -> None:
    told: dict[str, str] = {}
    for line in settings_table.markdown().splitlines():
        if line.startswith("## "):
            role = line[3:]
        elif line.startswith("| `"):
            told[line.split("`")[1]] = role
    wanted = ("SPANFLOW_REDIS_URL", "SPANFLOW_CONTENT", "SPANFLOW_VIEWER_PORT", "SPANFLOW_VIEWER_TOKEN", "SPANFLOW_URL")
    assert [told[name] for name in wanted] == snapshot(
        ["Gateways and viewers", "Gateways", "Viewers", "Viewers", "Terminal"]
    )


def test_a_secret_is_never_shown() -> None:
    done = spanflow("settings", SPANFLOW_POSTGRES_DSN="postgresql://me:hunter2@db/flows")
    assert "hunter2" not in done.stdout
    assert "SPANFLOW_POSTGRES_DSN = (set, not shown)   [from SPANFLOW_POSTGRES_DSN]" in done.stdout


def test_an_older_name_is_shown_as_the_source() -> None:
    assert "SPANFLOW_REDIS_ENABLED = false   [from REDIS_ENABLED]" in settings_table.plain({"REDIS_ENABLED": "false"})


def test_every_default_can_be_set_as_it_is_shown() -> None:
    lines = (line.strip() for line in settings_table.plain({}).splitlines() if line.startswith("  SPANFLOW_"))
    shown = {name: text for name, _, text in (line.partition(" =") for line in lines)}
    refused = {}
    for row in all_rows():
        if text := shown[row.metadata["env"]].strip():
            try:
                value = row.metadata["parse"](text)
            except ValueError as why:
                value = why
            if value != row.default:
                refused[row.metadata["env"]] = (text, value)
    assert refused == {}


def test_settings_are_found_by_words_and_printed_for_programs() -> None:
    found = spanflow("settings", "retention", "DAYS", SPANFLOW_AUDIT_RETENTION_DAYS="30")
    names = [line.split()[0] for line in found.stdout.splitlines() if line.startswith("  SPANFLOW_")]
    assert names == snapshot(
        ["SPANFLOW_FLOW_RETENTION_DAYS", "SPANFLOW_ACTIVITY_RETENTION_DAYS", "SPANFLOW_AUDIT_RETENTION_DAYS"]
    )
    rows = [
        json.loads(line) for line in spanflow("settings", "--json", SPANFLOW_VIEWER_TOKEN="x" * 20).stdout.splitlines()
    ]
    assert len(rows) == len(all_rows())
    (token,) = [row for row in rows if row["name"] == "SPANFLOW_VIEWER_TOKEN"]
    assert (token["set"], token["value"]) == (True, None)
    nothing = spanflow("settings", "no-such-word")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "spanflow: no setting has the words 'no-such-word'.\n"
