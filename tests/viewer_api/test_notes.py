"""Notes and verdicts on a flow: whose they are, what lists show of them, and that they go with the person."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import (
    ADMIN,
    PEOPLE,
    VIEWER_7,
    WATCHES_7,
    WATCHMAN,
    ask,
    flow_id,
    what_two_users_did,
    write_tokens,
)
from tests.support.query import query, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store

ONE = flow_id(1)
NOTES = f"/api/v1/flows/{ONE}/notes"
WHY = {"X-Spanflow-Reason": "r"}


@pytest.fixture
def stored(store: Store) -> None:
    store(*what_two_users_did())


def of(number: int) -> str:
    return f"/api/v1/flows/{flow_id(number)}/notes"


def found(viewer: RunningViewer, search: str) -> list[str]:
    return sorted(flow["flow_id"] for flow in viewer.get(f"/api/v1/flows?{search}")["flows"])


def test_a_flow_has_notes_and_the_verdict_of_the_newest_that_has_one(
    make_viewer: MakeViewer, stored: None, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    assert viewer.get(NOTES) == {"flow_id": ONE, "verdict": None, "notes": []}
    first = viewer.post(NOTES, {"verdict": "bad", "note": "  The tool was asked twice.  "})
    assert (first["verdict"], first["note"], first["created_by"]) == ("bad", "The tool was asked twice.", "operator")
    viewer.post(NOTES, {"verdict": "needs_look"})
    said = viewer.post(NOTES, {"note": "seen\0"})
    assert said["note"] == "seen"
    listed = viewer.get(NOTES)
    assert listed["verdict"] == "needs_look"
    assert [note["note"] for note in listed["notes"]] == ["seen", None, "The tool was asked twice."]
    path = f"{NOTES}/{first['note_id']}"
    changed = viewer.http.put(path, json={"verdict": "good"}).json()
    assert (changed["verdict"], changed["note"]) == ("good", None)
    assert changed["changed_at"] is not None
    # An older note that is changed is still older.
    assert viewer.get(NOTES)["verdict"] == "needs_look"
    assert viewer.http.delete(path).json() == {"status": "deleted", "note_id": first["note_id"]}
    assert viewer.http.delete(path).json()["code"] == "note_not_found"
    rows = query(
        postgres_dsn,
        "SELECT action, target_user, target, detail::text FROM omni2.audit_log WHERE action LIKE 'note%' ORDER BY id",
    )
    actions = [row["action"] for row in rows]
    assert actions == ["notes_read", *["note_created"] * 3, "note_changed", "note_deleted"]
    assert {(row["target_user"], row["target"]) for row in rows} == {("7", ONE)}
    assert not any("twice" in row["detail"] for row in rows)


def test_a_note_says_something_and_not_too_much(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer()
    for body in ({}, {"note": " \n"}, {"verdict": "fine"}, {"note": "x" * 4001}, {"note": "x", "author": "ann"}):
        answer = viewer.http.post(NOTES, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), body
    for _ in range(200):
        viewer.post(NOTES, {"verdict": "good"})
    full = viewer.http.post(NOTES, json={"note": "x"})
    assert (full.status_code, full.json()["code"]) == (409, "too_many_notes")


def test_monitors_and_admins_read_notes_and_change_their_own(
    make_viewer: MakeViewer, stored: None, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    for person in PEOPLE:
        for number, whose in ((1, "7"), (2, "8"), (5, None)):
            may = person.sees_everybody or (person.user_id is None and whose in (person.scope or ()))
            expected = 403 if person.user_id is not None else 200 if may else 404
            for method, body in (("POST", {"json": {"note": person.name}}), ("GET", {})):
                answer = ask(viewer, person, method, of(number), **body)
                assert answer.status_code == expected, (person.name, method, number)
    notes = {note["created_by"]: note for note in ask(viewer, ADMIN, "GET", NOTES).json()["notes"]}
    assert {name: note["mine"] for name, note in notes.items()} == {
        "admin": True,
        "watchman": False,
        "watches-7": False,
    }
    theirs = f"{NOTES}/{notes['watches-7']['note_id']}"
    for person in (WATCHMAN, ADMIN):
        assert ask(viewer, person, "PUT", theirs, json={"note": "x"}).status_code == 404, person.name
    assert ask(viewer, WATCHMAN, "DELETE", theirs).status_code == 404
    assert ask(viewer, WATCHES_7, "PUT", theirs, json={"note": "better"}).json()["note"] == "better"
    # Of another flow it is no note.
    assert ask(viewer, ADMIN, "DELETE", theirs.replace(ONE, flow_id(2))).status_code == 404
    assert ask(viewer, ADMIN, "DELETE", theirs).status_code == 200


def test_lists_show_verdicts_and_are_narrowed_by_them(
    make_viewer: MakeViewer, stored: None, make_flow: MakeFlow, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    running = make_flow("7")
    running.start("root")
    for number, verdict in ((1, "bad"), (2, "bad"), (2, "good"), (3, "needs_look")):
        viewer.post(of(number), {"verdict": verdict})
    viewer.post(of(1), {"note": "a note without a verdict changes none"})
    viewer.post(f"/api/v1/flows/{running.flow_id}/notes", {"verdict": "bad"})
    shown = {flow["flow_id"]: flow["verdict"] for flow in viewer.get("/api/v1/flows")["flows"]}
    assert shown == {
        running.flow_id: "bad",
        ONE: "bad",
        flow_id(2): "good",
        flow_id(3): "needs_look",
        flow_id(4): None,
        flow_id(5): None,
    }
    assert found(viewer, "verdict=bad") == sorted([ONE, running.flow_id])
    assert found(viewer, "verdict=bad&outcome=ok") == [ONE]
    assert found(viewer, "verdict=good&verdict=needs_look&user_id=8") == [flow_id(2)]
    for sort in ("duration", "tokens", "cost"):
        assert found(viewer, f"verdict=good&verdict=needs_look&sort={sort}") == [flow_id(2), flow_id(3)], sort
    assert found(viewer, "verdict=bad&q=ask&since=2020-01-01&until=2026-02-01") == [ONE]
    counted = viewer.get("/api/v1/flows?verdict=bad&verdict=good&count=exact")["count"]
    assert counted == {"value": 2, "kind": "exact"}
    first = viewer.get("/api/v1/flows?verdict=good&verdict=needs_look&limit=1")
    rest = viewer.get(f"/api/v1/flows?verdict=good&verdict=needs_look&limit=1&cursor={first['next']}")
    assert [flow["flow_id"] for flow in first["flows"] + rest["flows"]] == [flow_id(3), flow_id(2)]
    lines = viewer.http.get("/api/v1/export?format=jsonl&verdict=needs_look").text.splitlines()
    assert [json.loads(line)["flow_id"] for line in lines] == [flow_id(3)]
    assert viewer.http.get("/api/v1/flows?verdict=great").status_code == 422
    # What operators say of somebody is not for them.
    own = ask(viewer, VIEWER_7, "GET", "/api/v1/flows").json()["flows"]
    assert own and not any("verdict" in flow for flow in own)
    for path in ("flows?verdict=bad", "export?format=json&verdict=bad", "statistics/funnel?verdict=bad"):
        assert ask(viewer, VIEWER_7, "GET", f"/api/v1/{path}").status_code == 403, path


def test_notes_are_in_a_persons_file_and_are_erased_with_the_person(
    make_viewer: MakeViewer, stored: None, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    for number in (1, 2):
        viewer.post(of(number), {"verdict": "bad", "note": f"about flow {number}"})
    lines = [json.loads(line) for line in viewer.http.get("/api/v1/users/7/export", headers=WHY).text.splitlines()]
    (line,) = [line for line in lines if line["kind"] == "note"]
    assert (line["flow_id"], line["verdict"], line["note"]) == (ONE, "bad", "about flow 1")
    assert lines[-1]["counts"]["note"] == 1
    receipt = viewer.http.delete("/api/v1/users/7/data", headers=WHY).json()
    assert receipt["erased"]["notes"] == 1
    assert value(postgres_dsn, "SELECT array_agg(note) FROM omni2.flow_notes") == ["about flow 2"]


def test_what_an_erased_person_said_as_an_operator_goes_too(
    make_viewer: MakeViewer, stored: None, tmp_path: Path, postgres_dsn: str
) -> None:
    own: Any = type(WATCHMAN)("seven", WATCHMAN.role, user_id="7")
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", own, ADMIN)))
    assert ask(viewer, own, "POST", of(2), json={"note": "by 7"}).status_code == 200
    assert ask(viewer, own, "POST", f"/api/v1/flows/{flow_id(2)}/shares", json={}).status_code == 200
    receipt = viewer.http.delete("/api/v1/users/7/data", headers=WHY).json()
    assert (receipt["erased"]["notes"], receipt["erased"]["share_links"]) == (1, 1)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.flow_notes") == 0


def test_notes_go_with_their_flow(make_viewer: MakeViewer, stored: None, postgres_dsn: str) -> None:
    viewer = make_viewer()
    for number in (1, 2):
        viewer.post(of(number), {"note": "x"})
        viewer.post(f"/api/v1/flows/{flow_id(number)}/shares", {})
    old = "created_at = now() - interval '8 days'"
    query(postgres_dsn, f"UPDATE omni2.flow_notes SET {old}")
    query(postgres_dsn, f"UPDATE omni2.share_links SET {old}")
    query(postgres_dsn, "DELETE FROM omni2.flow_keys WHERE flow_id = $1", ONE)
    assert value(postgres_dsn, "SELECT omni2.expire_annotations()") == 2
    assert value(postgres_dsn, "SELECT array_agg(flow_id) FROM omni2.flow_notes") == [flow_id(2)]
    assert value(postgres_dsn, "SELECT omni2.expire_annotations()") == 0
