"""What a viewer tells those who run it: health, numbers, and a log without secrets."""

import io
import json
import logging
import shlex
from collections.abc import Callable, Iterator

import httpx
import pytest
import redis
from dirty_equals import IsFloat, IsPartialDict, IsPositive, IsStr
from prometheus_client.parser import text_string_to_metric_families

from spanflow.span_processors import names
from spanflow.viewer_api.operations import logs
from tests.support.live_client import live
from tests.support.poll import eventually, eventually_async
from tests.support.proxy import TcpProxy
from tests.support.query import script
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer

Line = dict[str, object]
ALL_WELL = {"status": "ok", "postgres": "up", "schema": "current", "reads": "up", "redis": "up", "jobs": "ok"}


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[Line]]]:
    """What the viewer has logged as JSON lines since the test began."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    logger = logging.getLogger("spanflow")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(level)


def numbers(viewer: RunningViewer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Everything at /metrics, by name and labels."""
    answer = viewer.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name.removeprefix("spanflow_viewer_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def number(viewer: RunningViewer, name: str, **labels: str) -> float | None:
    return numbers(viewer).get((name, frozenset(labels.items())))


def ready(client: httpx.Client) -> tuple[int, dict[str, object]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


# -- health ------------------------------------------------------------------------------------------------------------


def test_everybody_may_ask_and_only_admins_are_told_more(viewer: RunningViewer) -> None:
    eventually(lambda: ready(viewer.stranger) == (200, ALL_WELL))
    _, told = ready(viewer.http)
    assert told == IsPartialDict(ALL_WELL)
    assert told["details"] == IsPartialDict(role="postgres", schema_found=IsStr, schema_needed=IsStr)
    assert ready(viewer.stranger) == (200, ALL_WELL)
    assert viewer.stranger.get("/healthz").json() == {"status": "ok"}


def test_without_redis_it_serves_and_says_what_is_missing(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], redis_url: str
) -> None:
    line = proxy(redis_url)
    viewer = make_viewer(url=line.url)
    line.cut()
    eventually(lambda: ready(viewer.stranger) == (200, {**ALL_WELL, "status": "degraded", "redis": "down"}))
    line.restore()
    eventually(lambda: ready(viewer.stranger) == (200, ALL_WELL), within=15)


def test_without_postgres_it_cannot_serve(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    viewer = make_viewer(dsn=line.url)
    line.cut()
    gone = {**ALL_WELL, "status": "unavailable", "postgres": "down", "schema": "unknown", "reads": "down"}
    eventually(lambda: ready(viewer.stranger) == (503, gone))
    assert viewer.stranger.get("/healthz").status_code == 200
    line.restore()
    eventually(lambda: ready(viewer.stranger) == (200, ALL_WELL), within=15)


def test_without_what_it_reads_from_it_says_so_and_serves_the_rest(
    make_viewer: MakeViewer, proxy: Callable[[str], TcpProxy], postgres_dsn: str
) -> None:
    line = proxy(postgres_dsn)
    viewer = make_viewer(viewer_read_dsn=line.url)
    assert number(viewer, "postgres_connections", pool="reads", state="most") == IsPositive
    line.cut()
    eventually(lambda: ready(viewer.stranger) == (200, {**ALL_WELL, "status": "degraded", "reads": "down"}))
    viewer.get("/api/v1/monitoring/list")


def test_a_schema_of_another_version_is_said(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(postgres_dsn, "UPDATE omni2.spanflow_schema_version SET version_num = '0000'")
    behind = {**ALL_WELL, "status": "unavailable", "schema": "behind"}
    eventually(lambda: ready(viewer.stranger) == (503, behind))
    script(postgres_dsn, "UPDATE omni2.spanflow_schema_version SET version_num = '9999'")
    eventually(lambda: ready(viewer.stranger) == (200, {**ALL_WELL, "schema": "ahead"}))
    script(postgres_dsn, "DROP TABLE omni2.spanflow_schema_version")
    eventually(lambda: ready(viewer.stranger) == (503, {**behind, "schema": "missing"}))


def test_a_job_that_fails_is_said_and_told_to_admins_alone(viewer: RunningViewer) -> None:
    record = viewer.app.state.viewer.readiness.jobs.record("retention")
    record.failed(RuntimeError("no room left in /srv"), viewer.app.state.viewer.readiness.jobs.monotonic())
    eventually(lambda: ready(viewer.stranger) == (200, {**ALL_WELL, "status": "degraded", "jobs": "failing"}))
    details = ready(viewer.http)[1]["details"]
    assert details == IsPartialDict(
        jobs=IsPartialDict(retention={"runs": 0, "failures": 1, "last_error": "RuntimeError: no room left in /srv"})
    )


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_numbers_are_for_those_who_may_watch_and_for_named_addresses(make_viewer: MakeViewer) -> None:
    viewer = make_viewer()
    assert viewer.stranger.get("/metrics").status_code == 401
    assert viewer.http.get("/metrics").status_code == 200
    named = make_viewer(viewer_metrics_peers=("127.0.0.0/8",))
    assert named.stranger.get("/metrics").status_code == 200
    # A proxy on this machine passes on what comes from anywhere.
    assert named.stranger.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 401


def test_requests_are_counted_by_route_and_not_by_what_clients_write(viewer: RunningViewer) -> None:
    for flow_id in ("one", "two", "three"):
        viewer.http.get(f"/api/v1/flows/{flow_id}")
    for word in ("a", "b"):
        viewer.http.get(f"/api/v1/nothing-{word}")
        viewer.http.request(f"M{word.upper()}", "/api/v1/flows")
    assert number(viewer, "requests_total", method="GET", route="/api/v1/flows/{flow_id}", status="404") == 3
    assert number(viewer, "request_seconds_count", method="GET", route="/api/v1/flows/{flow_id}") == 3
    told = numbers(viewer)
    methods = {dict(labels).get("method") for _, labels in told}
    routes = {dict(labels)["route"] for _, labels in told if "route" in dict(labels)}
    assert methods <= {None, "GET", "(other)"}
    assert all(route.startswith(("/api/v1/", "(")) or route in {"/metrics", "/readyz", "/healthz"} for route in routes)
    assert not any("nothing" in route for route in routes)


@pytest.mark.anyio
async def test_live_clients_and_what_they_follow_are_counted(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    make_flow().start("root")
    async with live(viewer) as client:
        await client.subscribe(7)
        await client.of_type("subscribed")
        for name in ("sockets", "feeds", "subscriptions", "watched_users", "redis_up"):
            assert number(viewer, name) == 1, name
    await eventually_async(lambda: number(viewer, "sockets") == 0)
    await eventually_async(lambda: number(viewer, "feeds") == 0)
    assert number(viewer, "sockets_ended_total", route="/api/v1/live", code="1000") == 1


def test_pool_jobs_and_the_audit_log_are_counted(viewer: RunningViewer) -> None:
    viewer.get("/api/v1/flows?user_id=7")
    assert number(viewer, "audit_writes_total") == IsPositive
    assert number(viewer, "audit_failures_total") == 0
    assert viewer.stranger.get("/api/v1/flows", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert number(viewer, "sign_in_failures_total") == 1
    assert number(viewer, "postgres_connections", pool="main", state="most") == IsPositive
    for job in ("reaper", "retention", "live"):
        assert number(viewer, "job_alive", job=job) == 1, job
    assert number(viewer, "reaped_flows_total") == 0


def test_a_reaper_that_redis_refuses_is_a_failing_job(make_viewer: MakeViewer, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(names.OPEN_FLOWS, {b"\xff\xfebad": 1.0})
        viewer = make_viewer()
        eventually(lambda: number(viewer, "reaper_foreign_entries_total") == 1)
        assert number(viewer, "job_failures_total", job="reaper") == 0
        client.set(names.OPEN_FLOWS, "no index")
        viewer = make_viewer()
        eventually(lambda: ready(viewer.stranger) == (200, {**ALL_WELL, "status": "degraded", "jobs": "failing"}))
        assert number(viewer, "job_failures_total", job="reaper") == 1
        details = viewer.get("/readyz")["details"]
        refused = "Redis refuses: WRONGTYPE Operation against a key holding the wrong kind of value"
        assert details["jobs"]["reaper"]["last_error"] == refused
        assert details["reaper"] == {
            "reaped": 0,
            "failed": 0,
            "refused": 0,
            "foreign": 0,
            "waiting": 0,
            "problem": refused,
        }


def test_no_number_is_told_twice(viewer: RunningViewer) -> None:
    families = [line.split()[2] for line in viewer.http.get("/metrics").text.splitlines() if line.startswith("# TYPE")]
    assert len(families) > 20
    assert sorted(set(families)) == sorted(families)


def test_a_reader_that_understands_openmetrics_gets_it(viewer: RunningViewer) -> None:
    answer = viewer.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


# -- the log -----------------------------------------------------------------------------------------------------------


def test_each_request_is_a_line_without_its_query(viewer: RunningViewer, log_lines: Callable[[], list[Line]]) -> None:
    viewer.http.get("/api/v1/flows?user_id=7&q=very-private")
    viewer.stranger.get("/api/v1/flows?token=stolen-secret")
    viewer.stranger.get("/healthz")
    eventually(lambda: len([line for line in log_lines() if line["message"] == "request"]) == 2)
    lines = [line for line in log_lines() if line["message"] == "request"]
    common = {
        "time": IsStr,
        "level": "info",
        "logger": "spanflow.viewer_api.asgi.access_log",
        "message": "request",
        "method": "GET",
        "path": "/api/v1/flows",
        "remote": "127.0.0.1",
        "ms": IsFloat,
    }
    assert lines == [{**common, "status": 200, "who": "operator"}, {**common, "status": 401, "who": None}]
    assert "private" not in str(log_lines()) and "stolen" not in str(log_lines()) and TOKEN not in str(log_lines())


def test_a_line_about_a_flow_names_it_and_its_trace(
    make_viewer: MakeViewer, log_lines: Callable[[], list[Line]]
) -> None:
    viewer = make_viewer(viewer_trace_url="https://jaeger.example.org/trace/{trace_id}")
    flow_id = f"{7:032x}"
    paths = [f"/api/v1/flows/{flow_id}", f"/api/traces/{flow_id}", "/api/v1/flows/older-1", "/api/v1/flows"]
    for path in paths:
        viewer.http.get(path)

    def told() -> list[Line]:
        return [line for line in log_lines() if line["message"] == "request"]

    eventually(lambda: len(told()) == len(paths))
    named = {"flow_id": flow_id, "trace_url": f"https://jaeger.example.org/trace/{flow_id}"}
    assert [{key: line[key] for key in ("flow_id", "trace_url") if key in line} for line in told()] == [
        named,
        named,
        {"flow_id": "older-1"},
        {},
    ]


@pytest.mark.anyio
async def test_sockets_and_watches_are_logged(viewer: RunningViewer, log_lines: Callable[[], list[Line]]) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    async with live(viewer):
        pass
    await eventually_async(lambda: any(line["message"] == "socket closed" for line in log_lines()))
    told = [line for line in log_lines() if str(line["message"]).startswith("socket")]
    who = {"path": "/api/v1/live", "who": "operator", "remote": "127.0.0.1"}
    assert told == [
        IsPartialDict(message="socket opened", **who),
        IsPartialDict(message="socket closed", code=1000, ms=IsFloat, **who),
    ]
    assert any(str(line["message"]).startswith("Monitoring enabled for user 7 until") for line in log_lines())


def test_text_for_people_holds_the_same_and_strangers_cannot_begin_a_line() -> None:
    record = logging.makeLogRecord({"name": "test", "levelname": "INFO", "msg": "request", "path": "/a\n\x1b[2J b"})
    line = logs.TextLines().format(record)
    assert line.endswith('INFO test: request  path="/a\\n\\x1b[2J b"')


def test_in_text_for_people_no_value_can_pass_for_two() -> None:
    path = '/a" who=operator b="\\'
    record = logging.makeLogRecord({"name": "test", "levelname": "INFO", "msg": "request", "path": path, "who": "7"})
    line = logs.TextLines().format(record)
    assert shlex.split(line.partition("  ")[2]) == [f"path={path}", "who=7"]


def test_json_keeps_what_it_cannot_write_as_text() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        fields = {"msg": "it %s", "args": ("broke",), "path": {1: object}, "exc_info": (ValueError, error, None)}
        record = logging.makeLogRecord(fields)
    assert json.loads(logs.JsonLines().format(record)) == IsPartialDict(
        message="it broke", path={"1": "<class 'object'>"}, exception="ValueError: no"
    )
