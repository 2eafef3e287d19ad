"""Who is watched, where others write it too: a gateway with a route of its own, and a second Spanflow on one Redis."""

import time
from pathlib import Path
from typing import Any

import redis

from spanflow.migrations.run import upgrade
from spanflow.span_processors import names
from tests.support.own_trackers import TABLES, Synchronous
from tests.support.poll import eventually
from tests.support.query import script
from tests.support.viewer_server import running_viewer

OFTEN: dict[str, Any] = {"viewer_recheck_seconds": 0.2}


def watched(redis_url: str) -> dict[str, float]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        members: Any = client.smembers(names.MONITORED_USERS)
        until: Any = client.zrange(names.MONITORED_UNTIL, 0, -1, withscores=True)
        assert members == {user for user, _ in until}
        return dict(until)


def test_a_watch_that_the_applications_own_route_deletes_is_over(
    empty_postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    script(empty_postgres_dsn, TABLES)
    upgrade(empty_postgres_dsn, "spanflow")
    application = Synchronous(empty_postgres_dsn)
    until = application.watch(7)
    with running_viewer(empty_postgres_dsn, redis_url, tmp_path, schema="spanflow", **OFTEN) as viewer:
        eventually(lambda: watched(redis_url) == {"7": until})
        application.unwatch(7)
        eventually(lambda: watched(redis_url) == {})
        assert viewer.get("/api/v1/monitoring/list")["monitored_users"] == []
        viewer.post("/api/v1/monitoring/enable/8")
        assert set(application.watched()) == {8}
        viewer.post("/api/v1/monitoring/disable/8")
        assert application.watched() == {}
        until = application.watch(8)
        eventually(lambda: watched(redis_url) == {"8": until})
    application.unwatch(8)
    with running_viewer(empty_postgres_dsn, redis_url, tmp_path, schema="spanflow", **OFTEN):
        eventually(lambda: watched(redis_url) == {})


def test_two_spanflows_on_one_redis_leave_each_others_watches(
    empty_postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    for schema in ("first", "second"):
        upgrade(empty_postgres_dsn, schema)
    announced: list[Any] = []
    with (
        running_viewer(empty_postgres_dsn, redis_url, tmp_path / "1", schema="first", **OFTEN) as first,
        running_viewer(empty_postgres_dsn, redis_url, tmp_path / "2", schema="second", **OFTEN) as second,
        redis.Redis.from_url(redis_url) as client,
        client.pubsub(ignore_subscribe_messages=True) as changes,
    ):
        changes.subscribe(names.MONITORING_CHANGED)
        first.post("/api/v1/monitoring/enable/1?ttl_hours=1")
        second.post("/api/v1/monitoring/enable/2?ttl_hours=1")
        first.post("/api/v1/monitoring/enable/3?ttl_hours=1")
        second.post("/api/v1/monitoring/enable/3?ttl_hours=2")
        eventually(lambda: set(watched(redis_url)) == {"1", "2", "3"})
        assert watched(redis_url)["3"] > time.time() + 5400
        # Several rounds of both, in which neither finds anything to do.
        for _ in range(20):
            if (message := changes.get_message(timeout=0.1)) is not None:
                announced.append(message)
        assert len(announced) <= 12
        quiet = [changes.get_message(timeout=0.1) for _ in range(10)]
        assert quiet == [None] * 10
        second.post("/api/v1/monitoring/disable/3")
        eventually(lambda: time.time() + 1800 < watched(redis_url).get("3", 0) < time.time() + 5400)
        first.post("/api/v1/monitoring/disable/3")
        eventually(lambda: set(watched(redis_url)) == {"1", "2"})


def test_a_watch_may_last_a_year_where_the_operator_allows_it(
    postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    with running_viewer(postgres_dsn, redis_url, tmp_path, monitoring_max_hours=8760.0) as viewer:
        until = viewer.post("/api/v1/monitoring/enable/7?ttl_hours=8760")["expires_at"]
        assert until is not None
        assert watched(redis_url)["7"] > time.time() + 8759 * 3600
