"""A link shows one flow without a sign-in: who makes it, what it shows, and that it ends."""

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from spanflow.viewer_api.app import api_routes
from tests.support.alerts import Clock
from tests.support.flow_parts import part, span
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
from tests.support.poll import eventually
from tests.support.query import query, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of
from tests.viewer_api.test_authorisation import a_path

SHARES = "/api/v1/shares"
SHARED = "/api/v1/shared/flow"
WHY = {"X-Spanflow-Reason": "r"}
ONE = flow_id(1)
#: What is nobody's business outside.
SECRET = "the secret question"


def made(viewer: RunningViewer, number: int = 1, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = viewer.post(f"/api/v1/flows/{flow_id(number)}/shares", body)
    return answer


def opened(viewer: RunningViewer, token: str) -> httpx.Response:
    return viewer.stranger.get(SHARED, headers={"X-Spanflow-Share": token})


def shows_nothing(viewer: RunningViewer, token: str) -> bool:
    return opened(viewer, token).status_code == 404


def refused(answer: httpx.Response) -> bytes:
    """The answer of a link that shows nothing: the same for whatever reason."""
    assert (answer.status_code, answer.json()["code"]) == (404, "share_not_found")
    return answer.content


def audited(dsn: str) -> list[tuple[Any, ...]]:
    rows = query(
        dsn,
        "SELECT actor, action, target_user, target FROM omni2.audit_log WHERE action LIKE 'share%' ORDER BY id",
    )
    return [tuple(row.values()) for row in rows]


@pytest.fixture
def stored(store: Store) -> None:
    asked = span(1, name="POST /ask", attributes={"gen_ai.prompt": SECRET, "user.id": "7"})
    store(part(1, [asked, span(2, 1, event_type="tool_call", attributes={"flow.data.tool": "list"})], **of("s1")))
    store(part(2, [span(3, name="other")], **of("s2", "8")))


def test_a_link_shows_one_flow_without_contents_and_is_written_down(
    make_viewer: MakeViewer, stored: None, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    link = made(viewer)
    assert link["url"] == f"{viewer.origin}/#/shared/{link['token']}"
    answer = opened(viewer, link["token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    flow = answer.json()["flow"]
    assert (flow["flow_id"], flow["contents"], flow["open"]) == (ONE, "not_shared", False)
    assert [event["node_id"] for event in flow["flow_data"]["events"]] == [f"{1:016x}", f"{2:016x}"]
    assert SECRET not in answer.text
    assert flow["flow_data"]["events"][1]["attributes"]["flow.data.tool"] == "list"
    assert "processes" not in flow["flow_data"]
    opened(viewer, link["token"])
    viewer.http.delete(f"{SHARES}/{link['link_id']}")
    assert audited(postgres_dsn) == [
        ("operator", "share_created", "7", ONE),
        # Once a minute, as everything that is read.
        (f"share link {link['link_id']}", "share_opened", "7", ONE),
        ("operator", "share_revoked", "7", ONE),
    ]
    detail = value(postgres_dsn, "SELECT detail::text FROM omni2.audit_log WHERE action = 'share_opened'")
    assert json.loads(detail)["created_by"] == "operator"


def test_a_link_with_contents_shows_them(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer()
    answer = opened(viewer, made(viewer, contents=True)["token"])
    assert SECRET in answer.text
    assert answer.json()["flow"]["contents"] is None


@pytest.mark.parametrize("contents", [False, True])
def test_a_link_never_shows_the_users_name(make_viewer: MakeViewer, store: Store, contents: bool) -> None:
    whose = {
        "user.id": "7",
        "user.email": "ada@example.org",
        "user.full_name": "Ada Example",
        "litellm.metadata.user_api_key_user_email": "ada@example.org",
    }
    log = {"name": "signed_in", "time_ns": "1767787200000000000", "attributes": whose}
    asked = span(1, name="POST /ask", attributes={**whose, "gen_ai.prompt": SECRET}, logs=[log])
    store(part(1, [asked, span(2, 1, event_type="tool_call", attributes=whose)], **of("s1")))
    viewer = make_viewer()
    answer = opened(viewer, made(viewer, contents=contents)["token"])
    events = answer.json()["flow"]["flow_data"]["events"]
    assert [event["attributes"]["user.id"] for event in events] == ["7", "7"]
    assert [log["attributes"] for log in events[0]["logs"]] == [{"user.id": "7"}]
    assert "example.org" not in answer.text and "Ada" not in answer.text
    assert (SECRET in answer.text) is contents


def test_the_token_is_kept_nowhere(make_viewer: MakeViewer, stored: None, postgres_dsn: str) -> None:
    viewer = make_viewer()
    token = made(viewer)["token"]
    opened(viewer, token)
    assert token not in viewer.http.get(SHARES).text
    tables = query(postgres_dsn, "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'omni2'")
    for table in tables:
        rows = query(postgres_dsn, f'SELECT t::text AS line FROM omni2."{table["name"]}" AS t')
        assert not any(token in row["line"] for row in rows), table["name"]


def test_nothing_else_is_reached_by_its_token(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer()
    token = made(viewer, contents=True)["token"]
    assert opened(viewer, token).status_code == 200
    ways: list[dict[str, str]] = [
        {"X-Spanflow-Share": token},
        {"X-Spanflow-Share": token, "Authorization": f"Bearer {token}"},
        {"X-Spanflow-Share": token, "Cookie": f"spanflow_session={token}"},
    ]
    open_routes = {SHARED, "/api/v1/session/methods", "/api/v1/session/oidc/start", "/api/v1/session/oidc/callback"}
    open_routes |= {"/healthz", "/readyz", "/docs/style.css"}
    for headers in ways:
        for route in api_routes():
            for method in route.methods or ():
                path = a_path(route.path).replace("/flows/7", f"/flows/{ONE}")
                if path in open_routes or (method, path) == ("POST", "/api/v1/session"):
                    continue
                answer = viewer.stranger.request(method, path, headers=headers)
                assert answer.status_code in {401, 429}, (method, path, answer.status_code)
    assert opened(viewer, token).json()["flow"]["flow_id"] == ONE


def test_wrong_expired_and_revoked_links_cannot_be_told_apart(
    make_viewer: MakeViewer, stored: None, clock: Clock, postgres_dsn: str
) -> None:
    viewer = make_viewer(clock=clock)
    expired, revoked = made(viewer, days=1)["token"], made(viewer, days=3)
    good = made(viewer, days=3)["token"]
    assert viewer.http.delete(f"{SHARES}/{revoked['link_id']}").json()["state"] == "revoked"
    clock.now += timedelta(days=2).total_seconds()
    answers = {refused(opened(viewer, token)) for token in (expired, revoked["token"], "wrong", "x" * 5000, "")}
    assert len(answers) == 1
    assert opened(viewer, good).status_code == 200
    failures = query(postgres_dsn, "SELECT actor, outcome FROM omni2.audit_log WHERE action = 'login_failed'")
    assert [tuple(row.values()) for row in failures] == [("unknown", "refused")] * 4


def test_guessing_is_limited_as_sign_ins_are(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer(viewer_failed_sign_ins=3)
    good = made(viewer)["token"]
    assert opened(viewer, good).status_code == 200
    codes = [opened(viewer, f"wrong{number}").status_code for number in range(5)]
    assert codes == [404, 404, 404, 429, 429]
    # Whoever has opened it before is not locked out by a neighbour.
    assert opened(viewer, good).status_code == 200


def test_a_link_is_opened_only_so_often(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer(viewer_requests_per_second=0.1)
    with httpx.Client(base_url=viewer.origin) as other:
        token = made(viewer)["token"]
        codes = [other.get(SHARED, headers={"X-Spanflow-Share": token}).status_code for _ in range(3)]
    assert codes == [200, 429, 429]


def test_monitors_and_admins_share_what_they_see(make_viewer: MakeViewer, store: Store, tmp_path: Path) -> None:
    store(*what_two_users_did())
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    for person in PEOPLE:
        for number, whose in ((1, "7"), (2, "8"), (5, None)):
            answer = ask(viewer, person, "POST", f"/api/v1/flows/{flow_id(number)}/shares", json={})
            may = person.sees_everybody or (person.user_id is None and whose in (person.scope or ()))
            expected = 403 if person.user_id is not None else 200 if may else 404
            assert answer.status_code == expected, (person.name, number)
    # Own links; all of them for an admin.
    listed = {
        person.name: [row["flow_id"] for row in ask(viewer, person, "GET", SHARES).json()["shares"]]
        for person in (ADMIN, WATCHMAN, WATCHES_7)
    }
    assert sorted(listed["admin"]) == sorted([flow_id(n) for n in (1, 2, 5)] * 2 + [ONE])
    assert sorted(listed["watchman"]) == [flow_id(n) for n in (1, 2, 5)]
    assert listed["watches-7"] == [ONE]
    (mine,) = ask(viewer, WATCHES_7, "GET", SHARES).json()["shares"]
    assert ask(viewer, WATCHMAN, "DELETE", f"{SHARES}/{mine['link_id']}").status_code == 404
    assert ask(viewer, ADMIN, "DELETE", f"{SHARES}/{mine['link_id']}").json()["revoked_by"] == "admin"
    own = ask(viewer, ADMIN, "GET", f"{SHARES}?mine=true&flow_id={ONE}").json()["shares"]
    assert [row["created_by"] for row in own] == ["admin"]
    first = ask(viewer, ADMIN, "GET", f"{SHARES}?limit=4").json()
    rest = ask(viewer, ADMIN, "GET", f"{SHARES}?limit=4&cursor={first['next']}").json()
    assert len({row["link_id"] for row in first["shares"] + rest["shares"]}) == 7
    assert rest["next"] is None


def test_a_link_shows_no_more_than_its_maker_may_see_by_now(
    make_viewer: MakeViewer, store: Store, tmp_path: Path
) -> None:
    store(*what_two_users_did())
    tokens = tmp_path / "tokens.toml"
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tokens, WATCHMAN, WATCHES_7)))
    made_by = {
        person: ask(viewer, person, "POST", f"/api/v1/flows/{ONE}/shares", json={}).json()["token"]
        for person in (WATCHMAN, WATCHES_7)
    }
    assert {opened(viewer, token).status_code for token in made_by.values()} == {200}
    # One is taken away, and the other is a viewer from now on, who may not share.
    write_tokens(tokens, VIEWER_7)
    for token in made_by.values():
        eventually(partial(shows_nothing, viewer, token))
        refused(opened(viewer, token))


def test_contents_of_a_user_who_is_watched_without_them_are_never_shared(
    make_viewer: MakeViewer, stored: None, tmp_path: Path
) -> None:
    viewer = make_viewer()
    before = made(viewer, contents=True)["token"]
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": True, "reason": "r"})
    answer = viewer.http.post(f"/api/v1/flows/{ONE}/shares", json={"contents": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    shown = opened(viewer, before)
    assert SECRET not in shown.text
    # Nor does it say why.
    assert shown.json()["flow"]["contents"] == "not_shared"


def test_a_running_flow_is_shown_as_far_as_it_is(make_viewer: MakeViewer, make_flow: MakeFlow) -> None:
    viewer = make_viewer()
    flow = make_flow("7")
    flow.start("root")
    link = viewer.post(f"/api/v1/flows/{flow.flow_id}/shares", {})
    assert opened(viewer, link["token"]).json()["flow"]["open"] is True
    flow.step("auth", "root", "auth_check")
    assert len(opened(viewer, link["token"]).json()["flow"]["flow_data"]["events"]) == 2


def test_how_long_a_link_works_is_limited(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer(share_days=2.0, share_max_days=5.0)
    link = made(viewer)
    assert datetime.fromisoformat(link["expires_at"]) - datetime.fromisoformat(link["created_at"]) == timedelta(days=2)
    path = f"/api/v1/flows/{ONE}/shares"
    for body, status in (({"days": 5}, 200), ({"days": 5.1}, 422), ({"days": 0}, 422), ({"days": "NaN"}, 422)):
        assert viewer.http.post(path, json=body).status_code == status, body
    off = make_viewer(share_max_days=0.0)
    answer = off.http.post(path, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "sharing_is_off")
    refused(opened(off, link["token"]))
    assert opened(viewer, link["token"]).status_code == 200


def test_links_to_a_person_who_is_erased_show_nothing_and_are_gone(
    make_viewer: MakeViewer, stored: None, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    token, other = made(viewer)["token"], made(viewer, 2)["token"]
    assert viewer.get("/api/v1/users/7/data")["stored"]["share_links"] == 1
    receipt = viewer.http.delete("/api/v1/users/7/data", headers=WHY).json()
    assert receipt["erased"]["share_links"] == 1
    refused(opened(viewer, token))
    assert opened(viewer, other).status_code == 200
    assert value(postgres_dsn, "SELECT array_agg(user_id) FROM omni2.share_links") == ["8"]


def test_a_persons_file_says_which_links_show_their_flows(make_viewer: MakeViewer, stored: None) -> None:
    viewer = make_viewer()
    link = made(viewer)
    made(viewer, 2)
    lines = [json.loads(line) for line in viewer.http.get("/api/v1/users/7/export", headers=WHY).text.splitlines()]
    (line,) = [line for line in lines if line["kind"] == "share_link"]
    assert (line["link_id"], line["flow_id"], line["created_by"]) == (link["link_id"], ONE, "operator")
    assert "hash" not in json.dumps(line)
