"""Who gets what: every role, towards every route and socket, over what two users did."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from inline_snapshot import snapshot

from spanflow.viewer_api.auth.permissions import Right, Role, rights_of
from tests.support.archives import archives_in, deliver
from tests.support.people import (
    ADMIN,
    PEOPLE,
    VIEWER_7,
    VIEWER_8,
    WATCHES_7,
    WATCHES_NOBODY_KNOWN,
    WATCHMAN,
    Person,
    activity_id,
    flow_id,
    what_two_users_did,
    write_tokens,
)
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer
from tests.viewer_api.test_authorisation import RIGHTS, SOCKET


class House(NamedTuple):
    """A viewer, and a client for each person."""

    viewer: RunningViewer
    clients: dict[str, httpx.Client]

    def ask(self, person: Person, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        return self.clients[person.name].request(method, path, **options)

    def get(self, person: Person, path: str) -> Any:
        response = self.ask(person, path)
        assert response.status_code == 200, (person.name, path, response.text)
        return response.json()


@pytest.fixture
def house(make_viewer: MakeViewer, postgres_dsn: str, tmp_path: Path) -> Iterator[House]:
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        parts = what_two_users_did()
        assert deliver(archives.make(), *parts).delivered == len(parts)
    viewer = make_viewer(
        viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)), viewer_requests_per_second=1000.0
    )
    with ExitStack() as stack:
        clients = {
            person.name: stack.enter_context(httpx.Client(base_url=viewer.origin, headers=person.bearer, timeout=15))
            for person in PEOPLE
        }
        yield House(viewer, clients)


#: Of each route that is about one user or one thing: its address for user 7 and for user 8.
BY_USER = {
    "/api/v1/monitoring/flows/{user_id}": "/api/v1/monitoring/flows/{user}",
    "/api/v1/flows/user/{user_id}/sessions": "/api/v1/flows/user/{user}/sessions",
    "/api/v1/monitoring/flows/user/{user_id}/sessions": "/api/v1/monitoring/flows/user/{user}/sessions",
    "/api/v1/activities/user/{user_id}": "/api/v1/activities/user/{user}",
    "/api/v1/users/{user_id}": "/api/v1/users/{user}",
    "/api/v1/flows": "/api/v1/flows?user_id={user}",
    "/api/v1/playback": "/api/v1/playback?user_id={user}",
    "/api/v1/export": "/api/v1/export?user_id={user}",
    "/api/v1/flows/differences": "/api/v1/flows/differences?user_id={user}",
    "/api/v1/conversations": "/api/v1/conversations?user_id={user}",
    "/api/v1/activities/conversations": "/api/v1/activities/conversations?user_id={user}",
}
BY_ID = {
    "/api/v1/monitoring/flows/session/{session_id}": "/api/v1/monitoring/flows/session/s-{user}",
    "/api/v1/flows/session/{session_id}": "/api/v1/flows/session/s-{user}",
    "/api/v1/flows/compare": "/api/v1/flows/compare?a={flow}&b={flow}",
    "/api/v1/flows/{flow_id}/usual": "/api/v1/flows/{flow}/usual",
    "/api/v1/flows/{flow_id}": "/api/v1/flows/{flow}",
    "/api/v1/flows/{flow_id}/activities": "/api/v1/flows/{flow}/activities",
    "/api/v1/flows/{flow_id}/tree": "/api/v1/flows/{flow}/tree",
    "/api/v1/flows/{flow_id}/flat": "/api/v1/flows/{flow}/flat",
    "/api/v1/flows/{flow_id}/export": "/api/v1/flows/{flow}/export",
    "/api/traces/{trace_id}": "/api/traces/{flow}",
    "/api/v3/traces/{trace_id}": "/api/v3/traces/{flow}",
    "/jaeger/api/traces/{trace_id}": "/jaeger/api/traces/{flow}",
    "/jaeger/api/v3/traces/{trace_id}": "/jaeger/api/v3/traces/{flow}",
    "/api/v1/conversations/{conversation_id}": "/api/v1/conversations/c-{user}",
    "/api/v1/activities/conversation/{conversation_id}": "/api/v1/activities/conversation/c-{user}",
    "/api/v1/activities/{activity_id}/details": "/api/v1/activities/{activity}/details",
}
#: What operators add to flows has owners as well.
SHARING = ("/api/v1/filters", "/api/v1/shares", "/api/v1/flows/{flow_id}/shares", "/api/v1/flows/{flow_id}/notes")
#: What shows nothing but what somebody may see, whoever asks.
LISTS = {
    "/api/v1/monitoring/users",
    "/api/v1/monitoring/list",
    "/api/v1/monitoring/policy",
    "/api/v1/flows/previews",
    "/api/v1/monitoring/components",
    "/api/v1/audit",
    "/api/v1/mcp-analytics/overview",
    "/api/v1/mcp-analytics/top-tools",
    "/api/v1/mcp-analytics/top-mcps",
    "/api/v1/mcp-analytics/user-stats",
    "/api/v1/mcp-analytics/team-stats",
    "/api/v1/mcp-analytics/activity-over-time",
    "/api/v1/mcp-analytics/chat-vs-gateway",
    # Jaeger's own form, see test_jaeger.py and test_jaeger_services.py.
    "/api/services",
    "/api/services/{service:path}/operations",
    "/api/operations",
    "/api/dependencies",
    "/api/v3/services",
    "/api/v3/operations",
    "/jaeger/api/services",
    "/jaeger/api/services/{service:path}/operations",
    "/jaeger/api/operations",
    "/jaeger/api/dependencies",
    "/jaeger/api/v3/services",
    "/jaeger/api/v3/operations",
    "/api/traces",
    "/api/v3/traces",
    "/api/v3/trace-summaries",
    "/jaeger/api/traces",
    "/jaeger/api/v3/traces",
    "/jaeger/api/v3/trace-summaries",
    "/api/v1/statistics/steps",
    "/api/v1/statistics/flows",
    "/api/v1/statistics/funnel",
}


def about(template: str, user: str) -> str:
    """The address of what user 7 or 8 did."""
    number = {"7": 1, "8": 2}[user]
    return template.format(user=user, flow=flow_id(number), activity=activity_id(number))


def test_every_route_that_shows_data_is_tried() -> None:
    shown = {path for (method, path), right in RIGHTS.items() if isinstance(right, Right) and method == "GET"}
    # Only admins may count and erase, see test_erasure.py.
    shown -= {path for (_, path), right in RIGHTS.items() if right is Right.ERASE}
    # Rules may be about everybody or about named users, see test_alert_roles.py; links are their makers', see
    # test_sharing.py, test_notes.py and test_saved_filters.py.
    # Tempo's query API finds what Jaeger's does, see test_tempo.py.
    shown = {path for path in shown if not path.startswith(("/api/v1/alerts", "/tempo", *SHARING))}
    assert shown == BY_USER.keys() | BY_ID.keys() | LISTS | {"/api/v1/live"}
    changed = {path for (method, path), right in RIGHTS.items() if isinstance(right, Right) and method == "POST"}
    # Taking spans in shows nothing, see test_otlp.py.
    changed -= {path for (_, path), right in RIGHTS.items() if right is Right.INGEST}
    changed = {path for path in changed if not path.startswith(("/api/v1/alerts", *SHARING))}
    assert {path.removesuffix("/{user_id}") for path in changed} == set(CHANGES)
    assert {path for method, path in RIGHTS if method == SOCKET} == {
        "/api/v1/live",
        "/api/v1/ws",
        "/api/v1/ws/flows/{user_id}",
    }


def test_what_a_user_did_is_shown_to_whom_it_may_be(house: House) -> None:
    got = {}
    for person in PEOPLE:
        for template in (BY_USER | BY_ID).values():
            for user in ("7", "8"):
                path = about(template, user)
                expected = 200 if user in person.sees else 403 if template in BY_USER.values() else 404
                response = house.ask(person, path)
                got[person.name, path] = response.status_code
                assert response.status_code == expected, (person.name, path, response.text)
                if expected != 200:
                    assert "secret" not in response.text
                    assert f"auth of {user}" not in response.text
    assert len(got) == len(PEOPLE) * 2 * (len(BY_USER) + len(BY_ID))


def test_what_may_not_be_seen_is_like_what_is_not_there(house: House) -> None:
    """So that nobody can find out which ids exist."""
    nothing = {"flow": "f" * 32, "user": "nothing", "activity": activity_id(999)}
    for template in BY_ID.values():
        there, absent = house.ask(VIEWER_7, about(template, "8")), house.ask(VIEWER_7, template.format(**nothing))
        assert there.status_code == absent.status_code == 404
        assert there.content == absent.content
        assert {name for name in there.headers} == {name for name in absent.headers}


def test_a_running_flow_is_hidden_as_a_stored_one_is(house: House, make_flow: MakeFlow) -> None:
    flow = make_flow("8", session_id="s-now", conversation_id="c-now")
    flow.start("00000000000000aa", event_type="auth_check")
    for person in PEOPLE:
        expected = 200 if "8" in person.sees else 404
        for path in (f"flows/{flow.flow_id}", "flows/session/s-now", "monitoring/flows/session/s-now"):
            assert house.ask(person, f"/api/v1/{path}").status_code == expected, (person.name, path)
        listed = [each["flow_id"] for each in house.get(person, "/api/v1/flows")["flows"]]
        assert (flow.flow_id in listed) == ("8" in person.sees), person.name


def test_lists_hold_what_may_be_seen_and_nothing_else(house: House) -> None:
    everything = {flow_id(number) for number in range(1, 6)}
    of_user = {"7": {flow_id(1), flow_id(3)}, "8": {flow_id(2), flow_id(4)}}
    for person in PEOPLE:
        visible = everything if person.sees_everybody else set().union(*(of_user[user] for user in person.sees))
        listed: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            page = house.get(person, f"/api/v1/flows?limit=1{cursor and '&cursor='}{cursor}")
            listed |= {each["flow_id"] for each in page["flows"]}
            cursor = page["next"]
        assert listed == visible, person.name
        for path in ("/api/v1/conversations", "/api/v1/activities/conversations"):
            owners = {str(each["user_id"]) for each in house.get(person, path)["conversations"]}
            assert owners <= person.sees, (person.name, path)
        found = house.get(person, "/api/v1/flows?session_id=s-both")["flows"]
        assert {str(each["user_id"]) for each in found} == person.sees


def test_of_what_two_users_have_in_common_each_sees_their_part(house: House) -> None:
    for person in PEOPLE:
        for path in (
            "monitoring/flows/session/s-both",
            "flows/session/s-both",
            "conversations/c-both",
            "activities/conversation/c-both",
        ):
            response = house.ask(person, f"/api/v1/{path}")
            assert (response.status_code == 200) == bool(person.sees), (person.name, path)
            for user in {"7", "8"} - person.sees:
                assert f"secret of {user}" not in response.text, (person.name, path)
                assert f"auth of {user}" not in response.text, (person.name, path)
                assert f'"user_id":{user}' not in response.text, (person.name, path)
            if "activities/" in path:
                for user in person.sees:
                    assert f"secret of {user}" in response.text, (person.name, path)


def test_totals_of_a_conversation_count_only_what_may_be_seen(house: House) -> None:
    for path in ("conversations/c-both", "activities/conversation/c-both"):
        tokens = {}
        for person in (ADMIN, VIEWER_7, VIEWER_8):
            shown = house.get(person, f"/api/v1/{path}")
            tokens[person.name] = (shown["total_activities"], shown["total_tokens"])
        assert tokens == {"admin": (2, 70), "viewer-7": (1, 30), "viewer-8": (1, 40)}, path
    for path in ("conversations", "activities/conversations"):
        (shown,) = [
            each
            for each in house.get(VIEWER_7, f"/api/v1/{path}")["conversations"]
            if each["conversation_id"] == "c-both"
        ]
        assert (shown["total_activities"], shown["total_tokens"]) == (1, 30), path


def test_a_filter_does_not_tell_what_others_did_in_a_shared_conversation(house: House) -> None:
    """Flow 4, of user 8, is the later one, and has more tokens than that of user 7."""
    for path, asked, found in (
        ("conversations", "min_tokens=31", {"c-both"}),
        ("conversations", "since=2026-01-05T12:00:03.500Z", {"c-both"}),
        ("activities/conversations", "date_from=2026-01-05T12:00:03.500Z", {"c-both"}),
    ):
        for person in (ADMIN, VIEWER_7):
            listed = house.get(person, f"/api/v1/{path}?{asked}&count=exact")
            names = {each["conversation_id"] for each in listed["conversations"]}
            assert names == (found if person is ADMIN else set()), (person.name, path, asked)
            if "count" in listed:
                assert listed["count"]["value"] == len(names)


def test_people_are_found_among_those_who_may_be_seen(house: House) -> None:
    for person in PEOPLE:
        for q in ("", "7", "8"):
            found = {str(each["id"]) for each in house.get(person, f"/api/v1/monitoring/users?q={q}")["users"]}
            assert found <= person.sees, (person.name, q)
        assert {str(each["id"]) for each in house.get(person, "/api/v1/monitoring/users")["users"]} == person.sees


HOSTILE = [
    "'; DROP TABLE omni2.interaction_flows; --",
    "%00",
    "..%2F..%2Fflows",
    "%2e%2e",
    "x" * 129,
    "7%0A8",
    "{7}",
    "*",
    "null",
    "٧",
    "7 ",
    "07",
    "7.0",
    "-1",
    "９",
    "%ED%A0%80",
    "s-8%",
    "s_8",
    "_",
    "8%2C7",
]


def test_hostile_ids_open_nothing(house: House) -> None:
    for number, template in enumerate(BY_USER | BY_ID):
        # Each address with some of them, all of them with some address.
        for hostile in HOSTILE[number % 4 :: 4]:
            path = re.sub(r"\{[^}]*\}", hostile, template)
            path += "" if "{" in template else f"?user_id={hostile}"
            response = house.ask(VIEWER_7, path)
            # Jaeger's own API answers an id that is none with 400.
            refused = {400, 404} if "/traces" in path else {403, 404, 422}
            assert response.status_code in refused, (path, response.status_code, response.text)
            assert "secret" not in response.text


#: Each call that changes something about users: its body, when it goes to several.
CHANGES: dict[str, dict[str, Any]] = {
    "/api/v1/monitoring/enable": {"reason": "incident 12"},
    "/api/v1/monitoring/extend": {"reason": "incident 12", "hours": 1},
    "/api/v1/monitoring/disable": {"reason": "incident 12"},
}


def test_only_monitors_decide_who_is_watched_and_only_in_their_scope(house: House) -> None:
    for person in PEOPLE:
        monitors = person.role is not Role.VIEWER
        for path, body in CHANGES.items():
            for user in ("7", "8"):
                may = monitors and user in person.sees
                one = house.ask(person, f"{path}/{user}", "POST", json=body)
                assert one.status_code == (200 if may else 403), (person.name, path, user, one.text)
            # All of them, or nobody.
            several = house.ask(person, path, "POST", json={**body, "user_ids": [7, 8]})
            if monitors and person.sees == {"7", "8"}:
                # The disabled one of the loop before is not watched when it comes to extending.
                assert several.status_code == 200, (person.name, path, several.text)
            else:
                assert (several.status_code, several.json()["code"]) == (403, "forbidden")
        assert house.get(ADMIN, "/api/v1/monitoring/list") == {"monitored_users": []}, person.name


def test_the_list_of_the_watched_is_for_monitors_and_names_whom_they_may_see(house: House) -> None:
    for user in ("7", "8"):
        assert house.ask(ADMIN, f"/api/v1/monitoring/enable/{user}", "POST", json={"reason": "incident"}).is_success
    for person in PEOPLE:
        response = house.ask(person, "/api/v1/monitoring/list")
        if person.role is Role.VIEWER:
            assert (response.status_code, response.json()["code"]) == (403, "forbidden")
            assert house.ask(person, "/api/v1/monitoring/policy").status_code == 403
            continue
        assert {str(each["user_id"]) for each in response.json()["monitored_users"]} == person.sees


def test_a_user_is_not_told_that_they_are_watched(house: House) -> None:
    before = {
        path: house.ask(VIEWER_7, path).text
        for path in ("/api/v1/users/7?until=2026-02-01", "/api/v1/monitoring/users")
    }
    assert house.ask(ADMIN, "/api/v1/monitoring/enable/7", "POST", json={"reason": "incident"}).is_success
    assert {path: house.ask(VIEWER_7, path).text for path in before} == before


def test_only_admins_read_the_audit_log(house: House) -> None:
    for person in PEOPLE:
        status = house.ask(person, "/api/v1/audit").status_code
        assert status == (200 if person.role is Role.ADMIN else 403), person.name


def test_each_try_to_see_somebody_else_is_in_the_audit_log(house: House, postgres_dsn: str) -> None:
    house.ask(VIEWER_7, "/api/v1/monitoring/flows/8")
    house.ask(VIEWER_7, f"/api/v1/flows/{flow_id(2)}")
    house.ask(VIEWER_7, "/api/v1/flows/" + "f" * 32)
    house.ask(WATCHES_7, "/api/v1/monitoring/enable/8", "POST", json={"reason": "curious"})
    house.ask(WATCHES_7, "/api/v1/audit")
    house.ask(ADMIN, "/api/v1/flows/" + "f" * 32)
    rows = query(
        postgres_dsn,
        "SELECT actor, actor_role, action, outcome, target_user, target, detail ->> 'asked' AS asked "
        "FROM omni2.audit_log ORDER BY id",
    )
    assert rows == snapshot(
        [
            {
                "actor": "viewer-7",
                "actor_role": "viewer",
                "action": "denied",
                "outcome": "denied",
                "target_user": "8",
                "target": None,
                "asked": "flows_read",
            },
            {
                "actor": "viewer-7",
                "actor_role": "viewer",
                "action": "denied",
                "outcome": "denied",
                "target_user": None,
                "target": "00000000000000000000000000000002",
                "asked": "flow_read",
            },
            {
                "actor": "viewer-7",
                "actor_role": "viewer",
                "action": "denied",
                "outcome": "denied",
                "target_user": None,
                "target": "ffffffffffffffffffffffffffffffff",
                "asked": "flow_read",
            },
            {
                "actor": "watches-7",
                "actor_role": "monitor",
                "action": "denied",
                "outcome": "denied",
                "target_user": "8",
                "target": None,
                "asked": "monitoring_enabled",
            },
            {
                "actor": "watches-7",
                "actor_role": "monitor",
                "action": "denied",
                "outcome": "denied",
                "target_user": None,
                "target": "/api/v1/audit",
                "asked": "audit",
            },
        ]
    )


def test_everybody_may_ask_who_they_are(house: House) -> None:
    shown = {person.name: house.get(person, "/api/v1/session") for person in PEOPLE}
    for person in PEOPLE:
        assert shown[person.name]["rights"] == sorted(rights_of(person.entry().owner))
    assert {name: (each["role"], each["user_id"], each["scope"]) for name, each in shown.items()} == snapshot(
        {
            "admin": ("admin", None, None),
            "watchman": ("monitor", None, None),
            "watches-7": ("monitor", None, [7]),
            "watches-99": ("monitor", None, [99]),
            "viewer-7": ("viewer", 7, [7]),
            "viewer-8": ("viewer", 8, [8]),
        }
    )


def test_a_monitor_of_named_users_sees_nothing_of_anybody_without_a_name(house: House) -> None:
    """Flows without a user are only for those who see everybody."""
    for person in PEOPLE:
        status = house.ask(person, f"/api/v1/flows/{flow_id(5)}").status_code
        assert status == (200 if person.sees_everybody else 404), person.name
    assert house.get(WATCHES_NOBODY_KNOWN, "/api/v1/flows") == {"flows": [], "next": None}
    assert len(house.get(WATCHMAN, "/api/v1/flows")["flows"]) == 5
