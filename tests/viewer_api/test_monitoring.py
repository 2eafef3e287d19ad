"""Who is watched: as existing dashboards ask for it, over flushes and outages of Redis."""

import time
from collections.abc import Callable
from typing import Any

import orjson
import redis
from dirty_equals import IsApprox, IsInt, IsStr
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
    scores = {user: int(end) for user, end in until}
    assert set(scores) == set(members), "the two keys are not in step"
    return scores


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
    for hours in ("0", "-1", "169", "nan", "inf", "soon"):
        response = viewer.http.post(f"/api/v1/monitoring/enable/7?ttl_hours={hours}")
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), hours
    assert watched_in_redis(redis_url) == {}


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


def test_a_reason_can_be_demanded(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(monitoring_reason_required=True)
    assert viewer.http.post("/api/v1/monitoring/enable/7").status_code == 422
    viewer.post("/api/v1/monitoring/enable/7", {"reason": "because"})
    viewer.post("/api/v1/monitoring/enable/8", headers={"X-Spanflow-Reason": "because"})


def test_every_change_is_in_the_audit_log(viewer: RunningViewer) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "reason": "ticket"})
    viewer.post("/api/v1/monitoring/disable/7")
    entries = viewer.get("/api/v1/audit?user_id=7")["entries"]
    assert [(each["actor"], each["action"], each["reason"]) for each in entries] == snapshot(
        [("operator", "monitoring_disabled", None), ("operator", "monitoring_enabled", "ticket")]
    )
