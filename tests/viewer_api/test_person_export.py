"""All that is known of one person, as one file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.people import ADMIN, PEOPLE, ask, what_two_users_did, write_tokens
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

PATH = "/api/v1/users/7/export"
WHY = {"X-Spanflow-Reason": "request 4711"}
RULE = "5f0c7a1e9b3d2468"


def exported(viewer: RunningViewer, path: str = PATH) -> list[dict[str, Any]]:
    answer = viewer.http.get(path, headers=WHY)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def of_kind(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind]


@pytest.fixture
def known(viewer: RunningViewer, store: Store, postgres_dsn: str) -> RunningViewer:
    """Something of each kind about user 7, and of others beside it."""
    store(*what_two_users_did())
    failed = span(900, outcome="error", status="error")
    store(part(9, [failed], identity=Identity(user_id="7", email="ada@example.org", full_name="Ada", source="web")))
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7, 8], "reason": "ticket 1"})
    for number, about in ((0, "'{7,8}'"), (1, "NULL"), (2, "'{8}'")):
        rule = f"{RULE[:-1]}{number}"
        script(
            postgres_dsn,
            "INSERT INTO omni2.alert_rules (rule_id, definition, user_ids, enabled, created_by, changed_by) VALUES "
            f"""('{rule}', '{{"name": "r{number}", "condition": {{"kind": "longer_than", "alert": 1}}}}', {about}, """
            "false, 'admin', 'admin');"
            "INSERT INTO omni2.alert_events (rule_id, at, kind, level, value, threshold, since, until, flow_ids) "
            f"VALUES ('{rule}', now(), 'firing', 'alert', 2, 1, now(), now(), '{{{1:032x},{2:032x}}}'),"
            f"('{rule}', now(), 'firing', 'alert', 2, 1, now(), now(), '{{{2:032x}}}')",
        )
    script(
        postgres_dsn,
        "INSERT INTO omni2.poison_records (kind, flow_id, user_id, error, payload) "
        "VALUES ('flow', 'f', '7', 'too odd', 'odd words of 7'), ('flow', 'g', '8', 'too odd', 'odd words of 8')",
    )
    return viewer


def test_the_file_has_everything_of_one_person_and_nothing_of_others(known: RunningViewer, make_flow: MakeFlow) -> None:
    running = make_flow("7")
    running.start("root")
    lines = exported(known)
    counts = Counter(line["kind"] for line in lines)
    assert counts == snapshot(
        Counter(
            {
                "person": 1,
                "directory": 1,
                "watch": 1,
                "usage": 1,
                "activity": 2,
                "running_flow": 1,
                "flow": 3,
                "record": 1,
                "alert_rule": 1,
                "alert": 4,
                "audit": 2,
                "end": 1,
            }
        )
    )
    head, end = lines[0], lines[-1]
    assert (head["kind"], head["user_id"], head["contents"]) == ("person", 7, None)
    assert end == {
        "kind": "end",
        "counts": {kind: counts[kind] for kind in end["counts"]},
        "without_running": False,
    }
    assert [line["flow_id"] for line in of_kind(lines, "running_flow")] == [running.flow_id]
    assert [line["flow_id"] for line in of_kind(lines, "flow")] == [f"{9:032x}", f"{3:032x}", f"{1:032x}"]
    assert of_kind(lines, "flow")[0]["flow_data"]["events"][0]["node_id"] == f"{900:016x}"
    assert {line["activity_data"]["message"] for line in of_kind(lines, "activity")} == {"secret of 7"}
    (person,) = of_kind(lines, "directory")
    assert (person["email"], person["full_name"]) == ("ada@example.org", "Ada")
    (watch,) = of_kind(lines, "watch")
    assert watch["watch"]["reason"] == "ticket 1"
    (day,) = of_kind(lines, "usage")
    assert (day["day"], day["flows"], day["errors"]) == ("2026-01-05", 3, 1)
    (record,) = of_kind(lines, "record")
    assert (record["what"], record["payload"]) == ("flow", "odd words of 7")
    assert [rule["name"] for rule in of_kind(lines, "alert_rule")] == ["r0"]
    # Of a rule about them everything, of others what names their flows; never the flows of others.
    alerts = sorted((alert["rule"], alert["flow_ids"]) for alert in of_kind(lines, "alert"))
    assert alerts == [("r0", []), ("r0", [f"{1:032x}"]), ("r1", [f"{1:032x}"]), ("r2", [f"{1:032x}"])]
    assert {read["action"] for read in of_kind(lines, "audit")} >= {"monitoring_enabled", "user_exported"}
    text = json.dumps(lines)
    assert f"{2:032x}" not in text and "secret of 8" not in text and "words of 8" not in text


def test_it_is_for_admins_who_say_why_and_is_written_down(
    make_viewer: MakeViewer, tmp_path: Path, postgres_dsn: str
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    for person in PEOPLE:
        answer = ask(viewer, person, "GET", PATH, headers=WHY)
        assert answer.status_code == (200 if person is ADMIN else 403), person.name
    refused = ask(viewer, ADMIN, "GET", PATH)
    assert (refused.status_code, refused.json()["code"]) == (422, "reason_required")
    rows = query(postgres_dsn, "SELECT actor, target_user, reason FROM omni2.audit_log WHERE action = 'user_exported'")
    assert [dict(row) for row in rows] == [{"actor": "admin", "target_user": "7", "reason": "request 4711"}]


def test_of_who_was_never_heard_of_there_is_only_that_they_were_asked_for(viewer: RunningViewer) -> None:
    head, asked, end = exported(viewer, "/api/v1/users/nobody/export")
    assert (head["user_id"], asked["action"], sum(end["counts"].values())) == ("nobody", "user_exported", 1)


def test_while_they_are_watched_without_contents_the_file_has_none(known: RunningViewer) -> None:
    known.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": True, "reason": "r"})
    lines = exported(known)
    assert lines[0]["contents"] == "withheld"
    text = json.dumps(lines)
    assert "secret of 7" not in text and "words of 7" not in text
    assert len(of_kind(lines, "activity")) == 2


def test_a_file_of_many_pages_has_every_row_once(viewer: RunningViewer, store: Store) -> None:
    said = tuple(
        Activity("user_message", NOON + number // 3 * MS, {"message": f"m {number}"}, user_id="7").to_bytes()
        for number in range(1100)
    )
    store(part(1, [span(1)], identity=Identity(user_id="7"), activities=said))
    lines = exported(viewer)
    messages = [line["activity_data"]["message"] for line in of_kind(lines, "activity")]
    assert sorted(messages) == sorted(f"m {number}" for number in range(1100))
    assert lines[-1]["counts"]["activity"] == 1100
