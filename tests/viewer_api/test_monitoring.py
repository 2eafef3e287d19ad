"""Who is watched: as existing dashboards ask for it, over flushes and outages of Redis."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import redis
from dirty_equals import IsApprox, IsInt, IsPartialDict, IsStr
from inline_snapshot import snapshot

from spanflow.span_processors import names
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query, script, value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

ISO = IsStr(regex=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def watched_in_redis(url: str) -> dict[str, int]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        until: Any = client.zrange(names.MONITORED_UNTIL, 0, -1, withscores=True)
        members: Any = client.smembers(names.MONITORED_USERS)
        withheld: Any = client.smembers(names.MONITORED_METADATA_ONLY)
    scores = {user: int(end) for user, end in until}
    assert set(scores) == set(members), "the two keys are not in step"
    assert set(withheld) <= set(members), "more users without contents than users"
    return scores


def without_contents(url: str) -> set[str]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        withheld: Any = client.smembers(names.MONITORED_METADATA_ONLY)
        return set(withheld)


def stored(dsn: str, user_id: str) -> dict[str, Any]:
    key = f"monitor_user_{user_id}"
    return orjson.loads(value(dsn, f"SELECT config_value FROM omni2.omni2_config WHERE config_key = '{key}'"))  # type: ignore[no-any-return]


def refused(viewer: RunningViewer, path: str, body: Any = None, **params: Any) -> tuple[int, str]:
    response = viewer.http.post(f"/api/v1/monitoring/{path}", json=body, params=params)
    return response.status_code, response.json()["code"]


def test_a_user_is_watched_in_postgres_and_redis_until_the_stated_time(
    viewer: RunningViewer, postgres_dsn: str, redis_url: str
) -> None:
    answer = viewer.post("/api/v1/monitoring/enable/7?ttl_hours=2", {"reason": "ticket 4711"})
    assert answer == {"status": "enabled", "user_ids": [7], "expires_at": ISO, "live": True}
    until = watched_in_redis(redis_url)["7"]
    assert until == IsApprox(time.time() + 7200, delta=5)
    (row,) = query(postgres_dsn, "SELECT config_key, config_value, is_active FROM omni2.omni2_config")
    assert row["config_key"] == "monitor_user_7"
    assert row["is_active"]
    assert orjson.loads(row["config_value"]) == {
        "expires_at": until,
        "reason": "ticket 4711",
        "by": "operator",
        "enabled_at": IsInt,
        "metadata_only": False,
    }


def test_several_users_in_one_call(viewer: RunningViewer, redis_url: str) -> None:
    calls: list[tuple[Any, list[Any]]] = [
        ([1, 2], [1, 2]),
        ({"user_ids": [1, "neo"]}, [1, "neo"]),
        ({"user_ids": ["3", 3, "03"], "ttl_hours": 1, "reason": "r"}, [3, "03"]),
    ]
    for body, ids in calls:
        answer = viewer.post("/api/v1/monitoring/enable", body)
        assert answer == {"status": "enabled", "user_ids": ids, "expires_at": ISO, "live": True}
        assert set(watched_in_redis(redis_url)) == {str(user_id) for user_id in ids}
        assert viewer.post("/api/v1/monitoring/disable", body) == {"status": "disabled", "user_ids": ids, "live": True}
        assert watched_in_redis(redis_url) == {}
    assert viewer.get("/api/v1/monitoring/list") == {"monitored_users": []}


def test_the_list_says_who_is_watched_why_by_whom_and_how_long(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.user_directory (user_id, email, full_name) VALUES ('7', 'ada@example.org', 'Ada')",
    )
    viewer.post("/api/v1/monitoring/enable/neo")
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "slow\n answers \x07"}, params={"ttl_hours": 0.5})
    listed = viewer.get("/api/v1/monitoring/list")
    by_id = {each["user_id"]: each for each in listed["monitored_users"]}
    assert by_id == snapshot(
        {
            7: {
                "user_id": 7,
                "expires_at": ISO,
                "seconds_left": IsApprox(1799, delta=5),
                "reason": "slow answers",
                "by": "operator",
                "enabled_at": ISO,
                "metadata_only": False,
                "extensions": [],
                "email": "ada@example.org",
                "full_name": "Ada",
            },
            "neo": {
                "user_id": "neo",
                "expires_at": ISO,
                "seconds_left": IsApprox(86399, delta=5),
                "reason": None,
                "by": "operator",
                "enabled_at": ISO,
                "metadata_only": False,
                "extensions": [],
                "email": None,
                "full_name": None,
            },
        }
    )


def test_enabling_again_moves_the_end(viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=1")
    first = watched_in_redis(redis_url)["7"]
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=3")
    assert watched_in_redis(redis_url)["7"] - first == IsApprox(7200, delta=5)
    assert len(viewer.get("/api/v1/monitoring/list")["monitored_users"]) == 1


def test_a_length_that_makes_no_sense_is_refused(viewer: RunningViewer, redis_url: str) -> None:
    said = {hours: refused(viewer, "enable/7", ttl_hours=hours) for hours in ("0", "-1", "1e-9", "nan", "inf", "-inf")}
    assert set(said.values()) == {(422, "invalid_ttl")}, said
    said = {hours: refused(viewer, "enable/7", ttl_hours=hours) for hours in ("168.1", "1e300", "1e308")}
    assert set(said.values()) == {(422, "ttl_too_long")}, said
    for hours in ("soon", "", "1,5", "0x10"):
        assert refused(viewer, "enable/7", ttl_hours=hours) == (422, "invalid_request")
    bodies: list[Any] = [True, "soon", [1], {}, -1, 1e300, 10**400]
    for body in bodies:
        for path, who in (("enable/7", {}), ("enable", {"user_ids": [7]})):
            data = orjson.dumps({**who, "ttl_hours": 0}).replace(b"0", b"1" + b"0" * 400) if body == 10**400 else None
            content = data or orjson.dumps({**who, "ttl_hours": body})
            response = viewer.http.post(f"/api/v1/monitoring/{path}", content=content)
            assert response.status_code == 422, (body, path, response.text)
    assert watched_in_redis(redis_url) == {}
    viewer.post("/api/v1/monitoring/enable/7", {"ttl_hours": "1.5"})
    assert watched_in_redis(redis_url)["7"] == IsApprox(time.time() + 5400, delta=5)


def test_an_id_that_could_do_harm_is_refused(viewer: RunningViewer, redis_url: str) -> None:
    for user_id in ("a%7Bb", "%00", "x" * 129, "%0d%0aSET", "%C2%85"):
        for path in ("monitoring/enable/", "monitoring/disable/"):
            response = viewer.http.post(f"/api/v1/{path}{user_id}")
            assert (response.status_code, response.json()["code"]) == (422, "invalid_id"), user_id
    assert watched_in_redis(redis_url) == {}


def test_a_body_that_names_nobody_is_refused(viewer: RunningViewer) -> None:
    nobody: list[Any] = [[], {"user_ids": []}, [None], [[1]], {"user_ids": [{}]}, "7", 7, [1.5], [""], ["a/b"]]
    for body in nobody:
        response = viewer.http.post("/api/v1/monitoring/enable", json=body)
        assert response.status_code == 422, (body, response.text)


def test_a_flushed_redis_is_filled_again_from_postgres(viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable", [7, 8])
    before = watched_in_redis(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    eventually(lambda: watched_in_redis(redis_url) == before)


def test_a_restarted_viewer_fills_an_empty_redis(
    viewer: RunningViewer, make_viewer: MakeViewer, redis_url: str
) -> None:
    viewer.post("/api/v1/monitoring/enable", [7])
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    make_viewer()
    eventually(lambda: set(watched_in_redis(redis_url)) == {"7"})


def test_watching_ends_to_the_second_everywhere(viewer: RunningViewer, postgres_dsn: str, redis_url: str) -> None:
    viewer.post(f"/api/v1/monitoring/enable/7?ttl_hours={2.2 / 3600}")
    until = watched_in_redis(redis_url)["7"]
    eventually(lambda: viewer.get("/api/v1/monitoring/list") == {"monitored_users": []})
    assert time.time() == IsApprox(until, delta=1.0)
    eventually(lambda: watched_in_redis(redis_url) == {})
    row = "SELECT is_active FROM omni2.omni2_config WHERE config_key = 'monitor_user_7'"
    eventually(lambda: value(postgres_dsn, row) is False)
    action = "SELECT actor FROM omni2.audit_log WHERE action = 'monitoring_expired' AND target_user = '7'"
    assert query(postgres_dsn, action) == [{"actor": "system"}]


def test_without_redis_a_change_is_kept_and_takes_effect_when_it_is_back(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    viewer.post("/api/v1/monitoring/enable", [7, 8])
    line.cut()
    assert viewer.post("/api/v1/monitoring/enable", [9])["live"] is False
    assert viewer.post("/api/v1/monitoring/disable", [8])["live"] is False
    listed = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert {each["user_id"] for each in listed} == {7, 9}
    assert set(watched_in_redis(redis_url)) == {"7", "8"}
    line.restore()
    eventually(lambda: set(watched_in_redis(redis_url)) == {"7", "9"})


def test_who_an_older_dashboard_put_into_redis_stays_and_is_listed(viewer: RunningViewer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(names.MONITORED_USERS, "5")
    (listed,) = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert (listed["user_id"], listed["expires_at"]) == (5, None)
    viewer.post("/api/v1/monitoring/disable/5")
    assert viewer.get("/api/v1/monitoring/list") == {"monitored_users": []}


def test_rows_that_older_gateways_wrote_are_understood(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.omni2_config (config_key, config_value) VALUES
            ('monitor_user_1', '{"expires_at": "2999-01-01T00:00:00"}'),
            ('monitor_user_2', '{"expires_at": 32472144000}'),
            ('monitor_user_3', '{"expires_at": "never"}'), ('monitor_user_4', '[]'), ('monitor_user_5', null),
            ('other', '{}')
        """,
    )
    listed = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["expires_at"] for each in listed} == snapshot(
        {1: "2999-01-01T00:00:00Z", 2: "2999-01-01T00:00:00Z"}
    )


def test_the_policy_says_what_a_watch_needs(make_viewer: MakeViewer, redis_url: str) -> None:
    assert make_viewer().get("/api/v1/monitoring/policy") == snapshot(
        {
            "reason_required": False,
            "reason_length": 1,
            "default_hours": 24.0,
            "max_hours": 168.0,
            "max_users": 5000,
            "metadata_only": "off",
            "max_users_per_call": 1000,
        }
    )
    strict = make_viewer(monitoring_reason_required=True, monitoring_reason_length=8, monitoring_max_hours=4.0)
    assert strict.get("/api/v1/monitoring/policy")["default_hours"] == 4.0
    assert refused(strict, "enable/7") == (422, "reason_required")
    assert refused(strict, "enable/7", {"reason": " \n "}) == (422, "reason_required")
    assert refused(strict, "enable", [7]) == (422, "reason_required")
    assert refused(strict, "enable/7", {"reason": "because"}) == (422, "reason_too_short")
    assert refused(strict, "enable/7", {"reason": "because x", "ttl_hours": 4.1}) == (422, "ttl_too_long")
    strict.post("/api/v1/monitoring/enable/7", {"reason": "because of it"})
    strict.post("/api/v1/monitoring/enable/8", headers={"X-Spanflow-Reason": "because of it"})
    assert watched_in_redis(redis_url)["7"] == IsApprox(time.time() + 4 * 3600, delta=5)
    # What a reason is needed for is watching: whoever stops need not say why.
    strict.post("/api/v1/monitoring/disable/7")


def test_no_more_users_than_allowed_are_watched_at_once(make_viewer: MakeViewer, redis_url: str) -> None:
    viewer = make_viewer(monitoring_max_users=3)
    viewer.post("/api/v1/monitoring/enable", [1, 2])
    assert refused(viewer, "enable", [3, 4]) == (409, "too_many_watched")
    assert set(watched_in_redis(redis_url)) == {"1", "2"}
    # Those who are watched already do not count twice, and those whose time has run out do not count.
    viewer.post("/api/v1/monitoring/enable", [1, 2, 3])
    viewer.post("/api/v1/monitoring/disable", [2])
    viewer.post("/api/v1/monitoring/enable", [4])


def test_a_watch_is_extended_and_keeps_who_began_it_and_why(
    viewer: RunningViewer, redis_url: str, postgres_dsn: str
) -> None:
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=2", {"reason": "ticket 4711"})
    first = watched_in_redis(redis_url)["7"]
    answer = viewer.post("/api/v1/monitoring/extend/7", {"hours": 1, "reason": "not done yet"})
    assert answer == {
        "status": "extended",
        "user_ids": [7],
        "expires_at": ISO,
        "live": True,
        "monitored_users": [IsPartialDict(user_id=7, reason="ticket 4711", by="operator")],
    }
    assert watched_in_redis(redis_url)["7"] == first + 3600
    (listed,) = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert listed["extensions"] == [{"by": "operator", "at": ISO, "reason": "not done yet", "expires_at": ISO}]
    assert listed["seconds_left"] == IsApprox(3 * 3600, delta=5)
    # An hour more when nothing is said; or up to a stated time.
    viewer.post("/api/v1/monitoring/extend/7")
    viewer.post(f"/api/v1/monitoring/extend/7?until={first + 9000}")
    assert watched_in_redis(redis_url)["7"] == first + 9000
    assert len(stored(postgres_dsn, "7")["extensions"]) == 3
    entries = viewer.get("/api/v1/audit?action=monitoring_extended")["entries"]
    assert [each["reason"] for each in entries] == [None, None, "not done yet"]
    assert entries[-1]["detail"] == {"via": "token", "before": ISO, "expires_at": ISO}


def test_an_extension_that_makes_no_sense_is_refused(viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=2")
    before = watched_in_redis(redis_url)
    until = before["7"]
    assert refused(viewer, "extend/8") == (404, "not_watched")
    assert refused(viewer, "extend", {"user_ids": [7, 8]}) == (404, "not_watched")
    assert refused(viewer, "extend/7", {"hours": 167}) == (422, "ttl_too_long")
    assert refused(viewer, "extend/7", {"hours": 1e308}) == (422, "ttl_too_long")
    assert refused(viewer, "extend/7", {"until": 1e308}) == (422, "invalid_request")
    assert refused(viewer, "extend/7", {"hours": -1}) == (422, "invalid_ttl")
    assert refused(viewer, "extend/7", {"until": until}) == (422, "not_later")
    assert refused(viewer, "extend/7", {"until": "2001-01-01"}) == (422, "not_later")
    assert refused(viewer, "extend/7", {"until": "9999-01-01"}) == (422, "ttl_too_long")
    assert refused(viewer, "extend/7", {"until": "later"}) == (422, "invalid_request")
    assert refused(viewer, "extend/7", {"until": until + 60, "hours": 1}) == (422, "invalid_request")
    assert watched_in_redis(redis_url) == before


def test_extensions_at_the_same_time_all_count(make_viewer: MakeViewer, redis_url: str) -> None:
    viewers = [make_viewer(), make_viewer()]
    viewers[0].post("/api/v1/monitoring/enable/7?ttl_hours=2")
    first = watched_in_redis(redis_url)["7"]
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(viewers[n % 2].post, "/api/v1/monitoring/extend/7", {"hours": 1}) for n in range(6)]
        for each in done:
            each.result()
    eventually(lambda: watched_in_redis(redis_url)["7"] == first + 6 * 3600)
    for viewer in viewers:
        (listed,) = viewer.get("/api/v1/monitoring/list")["monitored_users"]
        assert len(listed["extensions"]) == 5


def test_hundreds_of_users_in_one_call_all_or_nobody(viewer: RunningViewer, redis_url: str, postgres_dsn: str) -> None:
    users = list(range(1, 601))
    begun = time.monotonic()
    viewer.post("/api/v1/monitoring/enable", {"user_ids": users, "reason": "incident", "metadata_only": True})
    viewer.post("/api/v1/monitoring/extend", {"user_ids": users, "hours": 2})
    assert time.monotonic() - begun < 5
    assert len(watched_in_redis(redis_url)) == len(without_contents(redis_url)) == 600
    count = "SELECT count(DISTINCT target_user) FROM omni2.audit_log WHERE action = '{}'"
    assert value(postgres_dsn, count.format("monitoring_enabled")) == 600
    assert value(postgres_dsn, count.format("monitoring_extended")) == 600
    assert refused(viewer, "enable", [*range(601, 900), "a/b"]) == (422, "invalid_id")
    assert refused(viewer, "extend", {"user_ids": [*range(1, 602)]}) == (404, "not_watched")
    viewer.post("/api/v1/monitoring/disable", users)
    assert watched_in_redis(redis_url) == {} == {user: 0 for user in without_contents(redis_url)}


def test_who_cannot_be_logged_is_not_watched(viewer: RunningViewer, redis_url: str, postgres_dsn: str) -> None:
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=1")
    before = watched_in_redis(redis_url)
    script(postgres_dsn, "ALTER TABLE omni2.audit_log RENAME TO audit_log_gone")
    for path, body in (("enable", [7, 8]), ("extend/7", None), ("disable/7", None)):
        assert refused(viewer, path, body) == (503, "not_migrated")
    assert watched_in_redis(redis_url) == before
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.omni2_config WHERE is_active") == 1


def test_disabling_is_the_same_however_often(viewer: RunningViewer) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    for _ in range(2):
        assert viewer.post("/api/v1/monitoring/disable/7")["status"] == "disabled"
    entries = viewer.get("/api/v1/audit?action=monitoring_disabled")["entries"]
    assert [each["detail"]["was_watched"] for each in entries] == [False, True]


def test_watching_without_contents_is_durable_and_survives_a_dashboard_that_does_not_know_of_it(
    viewer: RunningViewer, redis_url: str, postgres_dsn: str
) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": True})
    viewer.post("/api/v1/monitoring/enable/8")
    assert without_contents(redis_url) == {"7"}
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    eventually(lambda: without_contents(redis_url) == {"7"} and set(watched_in_redis(redis_url)) == {"7", "8"})
    # Enabled again by somebody who says nothing of it, and extended.
    viewer.post("/api/v1/monitoring/enable/7?ttl_hours=3")
    viewer.post("/api/v1/monitoring/extend/7")
    assert without_contents(redis_url) == {"7"}
    assert stored(postgres_dsn, "7")["metadata_only"] is True
    listed = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["metadata_only"] for each in listed} == {7: True, 8: False}
    # Only who says so lifts it, and the audit log knows.
    viewer.post("/api/v1/monitoring/enable/7?metadata_only=false", {"reason": "court order"})
    assert without_contents(redis_url) == set()
    (entry,) = viewer.get("/api/v1/audit?user_id=7&text=court")["entries"]
    assert entry["detail"]["metadata_only"] is False


def test_a_deployment_can_allow_watching_without_contents_only(
    make_viewer: MakeViewer, redis_url: str, postgres_dsn: str
) -> None:
    viewer = make_viewer(monitoring_metadata_only="always")
    viewer.post("/api/v1/monitoring/enable/7")
    assert refused(viewer, "enable/8", {"metadata_only": False}) == (422, "metadata_only_required")
    with redis.Redis.from_url(redis_url) as client:
        client.sadd(names.MONITORED_USERS, "5")
    row = """'{"expires_at": 32472144000, "metadata_only": false}'"""
    script(postgres_dsn, f"INSERT INTO omni2.omni2_config (config_key, config_value) VALUES ('monitor_user_6', {row})")
    listed = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["metadata_only"] for each in listed} == {5: True, 6: True, 7: True}
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.smembers(names.MONITORED_METADATA_ONLY) == {"5", "6", "7"}


def test_without_contents_can_be_the_default(make_viewer: MakeViewer, redis_url: str) -> None:
    viewer = make_viewer(monitoring_metadata_only="default")
    viewer.post("/api/v1/monitoring/enable/7")
    viewer.post("/api/v1/monitoring/enable/8", {"metadata_only": False})
    assert without_contents(redis_url) == {"7"}


def test_an_extension_while_redis_is_away_takes_effect_when_it_is_back(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    away, near = make_viewer(url=line.url), make_viewer(viewer_recheck_seconds=60.0)
    away.post("/api/v1/monitoring/enable", {"user_ids": [7, 8], "ttl_hours": 1})
    before = watched_in_redis(redis_url)
    line.cut()
    assert away.post("/api/v1/monitoring/extend/7", {"hours": 1})["live"] is False
    enabled = {"user_ids": [8], "ttl_hours": 1, "metadata_only": True}
    assert away.post("/api/v1/monitoring/enable", enabled)["live"] is False
    assert watched_in_redis(redis_url) == before
    assert without_contents(redis_url) == set()
    line.restore()
    eventually(lambda: watched_in_redis(redis_url)["7"] == before["7"] + 3600)
    eventually(lambda: without_contents(redis_url) == {"8"})
    # The other viewer, which looks by itself once a minute only, was told of it.
    eventually(lambda: near.app.state.viewer.watching.withholds("8"))


def test_a_time_that_nobody_will_live_to_see_does_no_harm(viewer: RunningViewer, postgres_dsn: str) -> None:
    for number, until in enumerate(("1772366400000", "1e308", "-5", "true", '"+1000000-01-01"')):
        extended = f'[7, {{"at": "x"}}, {{"at": -{2**54}, "expires_at": {2**54}}}]'
        other = f'"enabled_at": -1e300, "extensions": {extended}'
        row = f"""('monitor_user_{number}', '{{"expires_at": {until}, {other}}}')"""
        script(postgres_dsn, f"INSERT INTO omni2.omni2_config (config_key, config_value) VALUES {row}")
    listed = viewer.get("/api/v1/monitoring/list")["monitored_users"]
    assert {each["user_id"]: each["expires_at"] for each in listed} == snapshot(
        {0: "9999-12-31T23:59:59Z", 1: "9999-12-31T23:59:59Z"}
    )
    assert refused(viewer, "extend/0") == (422, "ttl_too_long")


def test_every_change_is_in_the_audit_log(viewer: RunningViewer) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket"})
    viewer.post("/api/v1/monitoring/disable/7")
    entries = viewer.get("/api/v1/audit?user_id=7")["entries"]
    assert [(each["actor"], each["action"], each["reason"]) for each in entries] == snapshot(
        [("operator", "monitoring_disabled", None), ("operator", "monitoring_enabled", "ticket")]
    )
