"""Who may make, see and change alert rules and channels, and what of it is written down."""

from pathlib import Path
from typing import Any

from spanflow.viewer_api.auth.permissions import Role
from tests.support.people import ADMIN, PEOPLE, VIEWER_7, WATCHES_7, WATCHMAN, ask, write_tokens
from tests.support.query import query
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_authorisation import RIGHTS

ALERTS = "/api/v1/alerts"
CHANNELS = f"{ALERTS}/channels"


def a_rule(*users: str) -> dict[str, Any]:
    return {"name": "slow", "condition": {"kind": "longer_than", "alert": 100}, "filters": {"user_id": list(users)}}


def test_viewers_may_do_nothing_with_alerts(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    routes = [key for key in RIGHTS if key[1].startswith(ALERTS)]
    assert len(routes) == 15
    for method, path in routes:
        assert ask(viewer, VIEWER_7, method, path, json={}).status_code == 403, (method, path)


def test_a_monitor_of_named_users_has_rules_about_these_and_no_channels(
    make_viewer: MakeViewer, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))

    def made(person: Any, *users: str) -> Any:
        return ask(viewer, person, "POST", ALERTS, json=a_rule(*users))

    about = {users: made(ADMIN, *users).json()["rule_id"] for users in ((), ("7",), ("8",), ("7", "8"))}
    assert made(WATCHES_7, "7").status_code == 200
    for users in ((), ("8",), ("7", "8")):
        assert made(WATCHES_7, *users).status_code == 403, users
    for person in PEOPLE:
        if person.role is Role.VIEWER:
            continue
        listed = {rule["rule_id"] for rule in ask(viewer, person, "GET", ALERTS).json()["rules"]}
        for users, rule_id in about.items():
            sees = person.sees_everybody or (bool(users) and set(users) <= (person.scope or set()))
            assert (rule_id in listed) == sees, (person.name, users)
            path = f"{ALERTS}/{rule_id}"
            for method, where in (("GET", path), ("POST", f"{path}/snooze")):
                assert ask(viewer, person, method, where).status_code == (200 if sees else 404), (person.name, where)
    # A rule that may be seen is not moved to somebody who may not.
    assert ask(viewer, WATCHES_7, "PUT", f"{ALERTS}/{about['7',]}", json=a_rule("8")).status_code == 403
    assert ask(viewer, WATCHES_7, "DELETE", f"{ALERTS}/{about['8',]}").status_code == 404
    assert ask(viewer, WATCHES_7, "POST", f"{ALERTS}/preview", json=a_rule("8")).status_code == 403
    assert ask(viewer, WATCHES_7, "POST", f"{ALERTS}/preview", json=a_rule()).status_code == 403
    for method, path in (("GET", CHANNELS), ("GET", f"{ALERTS}/deliveries"), ("POST", f"{CHANNELS}/{'0' * 16}/test")):
        assert ask(viewer, WATCHES_7, method, path).status_code == 403, path
        assert ask(viewer, WATCHMAN, method, path).status_code in (200, 404), path
    log = {"kind": "log", "name": "log"}
    assert ask(viewer, WATCHES_7, "POST", CHANNELS, json=log).status_code == 403


def test_every_change_is_a_row_of_the_audit_log_in_the_same_transaction(
    make_viewer: MakeViewer, postgres_dsn: str
) -> None:
    viewer = make_viewer()
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    channel = viewer.post(
        CHANNELS, {"kind": "webhook", "name": "hook", "url": "http://127.0.0.1:9/very-secret-path", "secret": secret}
    )
    one = f"{CHANNELS}/{channel['channel_id']}"
    rule = viewer.post(ALERTS, a_rule("7", "8") | {"channels": [channel["channel_id"]]})
    path = f"{ALERTS}/{rule['rule_id']}"
    assert viewer.http.put(path, json=a_rule("7", "8") | {"version": 1, "name": "slower"}).status_code == 200
    late = viewer.http.put(path, json=a_rule("7", "8") | {"version": 1})
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")
    viewer.post(f"{path}/snooze", {"seconds": 60})
    assert viewer.http.put(one, json={"name": "other"}).status_code == 200
    viewer.post(f"{one}/test")
    viewer.http.delete(path)
    viewer.http.delete(one)
    rows = query(
        postgres_dsn,
        "SELECT action, target_user, target, detail::text FROM omni2.audit_log WHERE action LIKE 'alert%' ORDER BY id",
    )
    done = [(row["action"].removeprefix("alert_"), row["target_user"]) for row in rows]
    assert done == [
        ("channel_created", None),
        *[("created", user) for user in "78"],
        *[("changed", user) for user in "78"],
        *[("snoozed", user) for user in "78"],
        ("channel_changed", None),
        ("channel_tested", None),
        *[("deleted", user) for user in "78"],
        ("channel_deleted", None),
    ]
    assert {row["target"] for row in rows} == {rule["rule_id"], channel["channel_id"]}
    assert '"changed": ["name", "channels"]' in rows[3]["detail"]
    assert not any("secret" in row["detail"] or "whsec" in row["detail"] for row in rows)


def test_secrets_go_in_and_never_come_out(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    made = viewer.post(CHANNELS, {"kind": "webhook", "name": "hook", "url": "https://hooks.example.com/secret-path"})
    assert made["secret"].startswith("whsec_")
    assert made["origin"] == "https://hooks.example.com"
    one = f"{CHANNELS}/{made['channel_id']}"
    answers = [viewer.http.get(CHANNELS).text, viewer.http.put(one, json={"name": "renamed"}).text]
    for text in answers:
        assert "hook" in text or "renamed" in text
        assert "secret" not in text
        assert made["secret"] not in text
    # Another address must not learn what the old secret signs.
    moved = viewer.http.put(one, json={"name": "renamed", "url": "https://elsewhere.example.com/x"})
    assert (moved.status_code, moved.json()["code"]) == (422, "invalid_request")
    for url in ("ftp://a.example.com", "https://user:pw@a.example.com", "https://", "//x", "https://a b.example.com"):
        refused = viewer.http.post(CHANNELS, json={"kind": "webhook", "name": "hook", "url": url})
        assert refused.status_code == 422, url
