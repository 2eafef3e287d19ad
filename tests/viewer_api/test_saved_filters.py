"""Searches under names: one's own, those that are shared, and what becomes of them with the people they name."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.support.alerts import Clock
from tests.support.people import (
    ADMIN,
    PEOPLE,
    VIEWER_7,
    WATCHES_7,
    WATCHMAN,
    Person,
    ask,
    flow_id,
    what_two_users_did,
    write_tokens,
)
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store

FILTERS = "/api/v1/filters"
WHY = {"X-Spanflow-Reason": "r"}


@pytest.fixture
def house(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    return make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))


def save(viewer: RunningViewer, person: Person, name: str, text: str, *, shared: bool = False) -> Any:
    return ask(viewer, person, "POST", FILTERS, json={"name": name, "filter": text, "shared": shared})


def names(viewer: RunningViewer, person: Person) -> list[tuple[str, bool]]:
    return [(each["name"], each["mine"]) for each in ask(viewer, person, "GET", FILTERS).json()["filters"]]


def test_a_search_is_kept_as_in_the_address_and_finds_the_same_by_the_api(
    make_viewer: MakeViewer, store: Store, clock: Clock
) -> None:
    store(*what_two_users_did())
    clock.now = 1_767_700_000.0
    viewer = make_viewer(clock=clock)
    saved = viewer.post(FILTERS, {"name": " Mine ", "filter": "range=all&user_id=8&outcome=ok&outcome=error&user_id=8"})
    assert (saved["name"], saved["filter"]) == ("Mine", "outcome=ok&outcome=error&range=all&user_id=8")
    assert parse_qsl(saved["query"]) == [
        ("outcome", "ok"),
        ("outcome", "error"),
        ("user_id", "8"),
        ("stepless", "hide"),
    ]
    found = viewer.get(f"/api/v1/flows?{saved['query']}")["flows"]
    assert [flow["flow_id"] for flow in found] == [flow_id(4), flow_id(2)]
    # Saved again, it is another search under the same name.
    again = viewer.post(FILTERS, {"name": "Mine", "filter": "connections=show"})
    assert again["filter_id"] == saved["filter_id"]
    assert parse_qsl(again["query"]) == [("since", "2025-12-30T11:46:40+00:00")]
    assert [each["filter"] for each in viewer.get(FILTERS)["filters"]] == ["connections=show"]
    assert viewer.http.delete(f"{FILTERS}/{saved['filter_id']}").json()["status"] == "deleted"
    assert viewer.http.delete(f"{FILTERS}/{saved['filter_id']}").json()["code"] == "filter_not_found"


def test_the_apis_word_for_connections_is_kept_as_the_dashboard_has_it(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    for text, kept in (("stepless=show&range=all", "connections=show&range=all"), ("stepless=hide", "")):
        saved = viewer.post(FILTERS, {"name": "x", "filter": text})
        assert saved["filter"] == kept
        assert ("stepless=hide" in saved["query"]) is (kept == "")


def test_what_the_list_would_refuse_is_not_saved(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    for text in ("limit=5", "toool=x", "outcome=fine", "range=2y", "connections=hide", "min_tokens=-1", "since=soon"):
        answer = viewer.http.post(FILTERS, json={"name": "x", "filter": text})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), text
    for name in ("", "  ", "x" * 61, "a\nb"):
        assert viewer.http.post(FILTERS, json={"name": name, "filter": ""}).status_code == 422, name
    odd = viewer.http.post(FILTERS, content=b'{"name": "odd", "filter": "tool=\\u0000x%00y\\ud83d"}')
    assert odd.status_code in {200, 422}
    for number in range(200):
        viewer.http.post(FILTERS, json={"name": f"n {number}", "filter": "q=status"})
    full = viewer.http.post(FILTERS, json={"name": "one more", "filter": ""})
    assert (full.status_code, full.json()["code"]) == (409, "too_many_filters")
    assert viewer.http.post(FILTERS, json={"name": "n 7", "filter": "q=x"}).status_code == 200


def test_everyone_has_their_own_and_finds_what_is_shared_and_may_be_seen(house: RunningViewer) -> None:
    assert save(house, VIEWER_7, "mine", "outcome=denied").status_code == 200
    assert save(house, VIEWER_7, "for all", "outcome=denied", shared=True).status_code == 403
    assert save(house, VIEWER_7, "by verdict", "verdict=bad").status_code == 403
    for name, text in (("all", "outcome=error"), ("of 7", "user_id=7"), ("of 8", "user_id=8"), ("bad", "verdict=bad")):
        assert save(house, WATCHMAN, name, text, shared=True).status_code == 200
    save(house, WATCHMAN, "mine", "outcome=ok")
    assert names(house, VIEWER_7) == [("all", False), ("mine", True), ("of 7", False)]
    assert names(house, WATCHES_7) == [("all", False), ("bad", False), ("of 7", False)]
    assert names(house, ADMIN) == [("all", False), ("bad", False), ("of 7", False), ("of 8", False)]
    theirs = {each["name"]: each["filter_id"] for each in ask(house, WATCHMAN, "GET", FILTERS).json()["filters"]}
    assert ask(house, WATCHES_7, "DELETE", f"{FILTERS}/{theirs['all']}").status_code == 404
    assert ask(house, ADMIN, "DELETE", f"{FILTERS}/{theirs['mine']}").status_code == 404
    assert ask(house, ADMIN, "DELETE", f"{FILTERS}/{theirs['all']}").status_code == 200


def test_saving_and_deleting_are_rows_of_the_audit_log(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    viewer = make_viewer()
    saved = viewer.post(FILTERS, {"name": "two", "filter": "user_id=7&user_id=8"})
    viewer.http.delete(f"{FILTERS}/{saved['filter_id']}")
    rows = query(
        postgres_dsn,
        "SELECT action, target_user, target FROM omni2.audit_log WHERE action LIKE 'filter%' ORDER BY id",
    )
    done = [(row["action"], row["target_user"]) for row in rows]
    assert done == [(f"filter_{what}", user) for what in ("saved", "deleted") for user in "78"]
    assert {row["target"] for row in rows} == {saved["filter_id"]}


def test_an_erased_person_is_named_in_no_search(house: RunningViewer, postgres_dsn: str) -> None:
    save(house, ADMIN, "of 7", "user_id=7")
    save(house, ADMIN, "of both", "user_id=7&user_id=8&outcome=ok")
    save(house, ADMIN, "of all", "outcome=ok")
    save(house, VIEWER_7, "made by 7", "outcome=ok")
    text = house.http.get("/api/v1/users/7/export", headers=WHY).text
    lines = [json.loads(line) for line in text.splitlines()]
    exported = {line["name"]: line["filter"] for line in lines if line["kind"] == "saved_filter"}
    assert exported.keys() == {"of 7", "of both", "made by 7"}
    assert exported["of 7"] == {"user_id": ["7"]}
    receipt = house.http.delete("/api/v1/users/7/data", headers=WHY).json()
    assert receipt["erased"]["saved_filters"] == 2
    rows = query(postgres_dsn, "SELECT name, filter::text AS filter FROM omni2.saved_filters ORDER BY name")
    left = {row["name"]: json.loads(row["filter"]) for row in rows}
    assert left == {"of all": {"outcome": ["ok"]}, "of both": {"outcome": ["ok"], "user_id": ["8"]}}
