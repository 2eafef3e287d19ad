"""What gateways lose is an alert that names them, counted once whoever counts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from spanflow.span_processors import names
from tests.support.alerts import ALERTS, LOCAL, Clock, Moments, kinds, make_channel, make_rule, state_of
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.query import query, script, value
from tests.support.spanflow_command import running, spanflow
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.support.webhook_receiver import WebhookReceiver
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_erasure import held

REPORTED = (
    "SELECT process, kind, cause, sum(number)::bigint AS number FROM omni2.loss_reports GROUP BY 1, 2, 3 ORDER BY 3"
)


class Gateway:
    """A process that loses spans when it is told to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.instance_id = ""

    def lose(self) -> dict[str, int]:
        """Another burst; what it has lost in all."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        self.instance_id = told["process"]
        losses: dict[str, int] = told["losses"]
        return losses


@contextmanager
def gateway(redis_url: str, **settings: str) -> Iterator[Gateway]:
    environment = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_QUEUE_SPANS": "64",
        "SPANFLOW_ARCHIVE_ENABLED": "false",
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.losing_gateway"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield Gateway(process)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def reported(dsn: str, process: str) -> dict[str, int]:
    return {row["cause"]: row["number"] for row in query(dsn, REPORTED) if row["process"] == process}


def test_what_a_gateway_drops_fires_with_its_name_and_is_counted_once(
    make_viewer: MakeViewer, receiver: WebhookReceiver, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    viewer = make_viewer(alert_seconds=0.2, **LOCAL)
    channel = make_channel(viewer, receiver)
    rule = make_rule(viewer, {"kind": "losses", "alert": 1, "of": ["dropped"]}, channels=[channel["channel_id"]])
    assert eventually(lambda: state_of(viewer, rule)["state"] == "ok")
    with gateway(redis_url) as losing:
        lost = losing.lose()
        assert lost["intake.queue_full"] > 0
        assert eventually(lambda: reported(postgres_dsn, losing.instance_id) == lost, within=20)
        assert eventually(lambda: kinds(viewer) == ["firing"], within=10)
        (event,) = viewer.get(f"{ALERTS}/events")["events"]
        (line, *_) = [line for line in event["losses"] if line["cause"] == "intake.queue_full"]
        assert (line["service"], line["process"], line["kind"]) == ("edge-gateway", losing.instance_id, "dropped")
        more = losing.lose()
        assert more["intake.queue_full"] > lost["intake.queue_full"]
    # It told the rest when it ended.
    assert eventually(lambda: reported(postgres_dsn, losing.instance_id) == more, within=20)
    with gateway(redis_url) as again:
        first = again.lose()
        assert eventually(lambda: reported(postgres_dsn, again.instance_id) == first, within=20)
    assert again.instance_id != losing.instance_id
    assert reported(postgres_dsn, losing.instance_id) == more
    assert eventually(lambda: len(receiver.messages) == 1)
    assert receiver.messages[0]["data"]["losses"][0]["service"] == "edge-gateway"
    lines = viewer.get(f"{ALERTS}/losses")["losses"]
    assert {line["process"] for line in lines} == {losing.instance_id, again.instance_id}
    assert sum(line["number"] for line in lines) == sum(more.values()) + sum(first.values())
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    told = spanflow("alerts", "losses", **there)
    assert told.returncode == 0, told.stderr
    assert "edge-gateway" in told.stdout and losing.instance_id in told.stdout and "queue_full" in told.stdout


def test_flows_that_have_no_place_on_disk_are_counted_as_dropped(
    make_viewer: MakeViewer, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Postgres is away, and the spool is full."""
    viewer = make_viewer(alert_seconds=0.2, **LOCAL)
    rule = make_rule(viewer, {"kind": "losses", "alert": 1, "of": ["dropped"]})
    away = {
        "SPANFLOW_ARCHIVE_ENABLED": "true",
        "SPANFLOW_POSTGRES_DSN": f"postgresql://nobody@127.0.0.1:{free_port()}/none",
        "SPANFLOW_DATA_DIR": str(tmp_path / "gateway"),
        "SPANFLOW_SPOOL_MAX_BYTES": str(1024 * 1024),
        "SPANFLOW_OPEN_FLOWS": "100",
        "SPANFLOW_FLOW_GRACE": "0",
        "SPANFLOW_QUEUE_SPANS": "100000",
    }
    with gateway(redis_url, **away) as losing:
        lost = losing.lose()
        while not any(cause.startswith("postgres.") for cause in lost):
            lost = losing.lose()
        assert lost["spool.written"] > 0
        assert eventually(lambda: state_of(viewer, rule)["state"] == "firing", within=30)
        (event,) = viewer.get(f"{ALERTS}/events")["events"]
        assert {line["kind"] for line in event["losses"]} == {"dropped"}
        assert any(line["cause"].startswith("postgres.") for line in event["losses"])


@pytest.fixture
def told(redis_url: str) -> Iterator[Any]:
    """Writes what a gateway tells."""
    with redis.Redis.from_url(redis_url) as client:

        def tell(process: str, **totals: int) -> None:
            causes = {name.replace("_", ".", 1): total for name, total in totals.items()}
            client.set(names.process_losses(process), json.dumps(causes))
            client.zadd(names.PROCESSES_WITH_LOSSES, {process: 1})

        yield tell


def test_an_old_total_of_a_restored_redis_counts_nothing(
    watched: tuple[RunningViewer, Moments], told: Any, postgres_dsn: str
) -> None:
    viewer, moments = watched
    make_rule(viewer, {"kind": "losses", "alert": 1})
    for total, counted in ((7, 7), (7, 7), (3, 7), (9, 9)):
        told("p1", intake_queue_full=total)
        moments.after(1)
        assert reported(postgres_dsn, "p1") == {"intake.queue_full": counted}


def test_what_is_not_written_as_gateways_do_is_left_alone(
    watched: tuple[RunningViewer, Moments], told: Any, postgres_dsn: str, redis_url: str
) -> None:
    viewer, moments = watched
    rule = make_rule(viewer, {"kind": "losses", "alert": 1})
    told("p1", intake_queue_full=-5, mirror_queue_full=2**60)
    with redis.Redis.from_url(redis_url) as client:
        for process, text in (("p2", "[1]"), ("p3", "{"), ("p4", '{"intake.fault": true, "intake.x": "7"}')):
            client.set(names.process_losses(process), text)
            client.zadd(names.PROCESSES_WITH_LOSSES, {process: 1})
        client.zadd(names.PROCESSES_WITH_LOSSES, {"gone": 1, "a/{b}": 1})
        client.lpush(names.process_losses("gone"), "a list")
    told("p5", intake_fault=1)
    moments.after(1)
    assert [row["process"] for row in query(postgres_dsn, REPORTED)] == ["p5"]
    assert state_of(viewer, rule)["value"] == 1


def test_a_hand_over_in_the_middle_counts_nothing_twice(
    make_viewer: MakeViewer, told: Any, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    """The viewer is killed after it has counted, and before it has committed; then two go on."""
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKEN": TOKEN,
        "SPANFLOW_DATA_DIR": str(tmp_path / "killed"),
        "SPANFLOW_ALERT_SECONDS": "1",
    }
    locks = (
        "SELECT count(*) FROM pg_locks AS waiting JOIN pg_locks AS turn USING (pid) WHERE NOT waiting.granted "
        "AND waiting.relation = 'omni2.loss_reports'::regclass AND turn.locktype = 'advisory' AND turn.granted"
    )
    with running("serve", "--port", str(free_port()), settings=there) as doomed:
        doomed.wait_for("Application startup complete")
        with held(postgres_dsn, "LOCK TABLE omni2.loss_reports IN ACCESS EXCLUSIVE MODE"):
            told("p1", intake_queue_full=40, postgres_unavailable=2)
            assert eventually(lambda: value(postgres_dsn, locks) == 1, within=20)
            doomed.end(signal.SIGKILL)
    assert reported(postgres_dsn, "p1") == {}
    viewers = [make_viewer(alert_seconds=0.2, **LOCAL) for _ in range(2)]
    rule = make_rule(viewers[0], {"kind": "losses", "alert": 42})
    assert eventually(lambda: state_of(viewers[0], rule)["state"] == "firing", within=20)
    assert state_of(viewers[1], rule)["value"] == 42
    assert reported(postgres_dsn, "p1") == {"intake.queue_full": 40, "postgres.unavailable": 2}


def test_rules_are_evaluated_where_losses_cannot_be_counted(
    make_viewer: MakeViewer, told: Any, postgres_dsn: str, clock: Clock
) -> None:
    """Of a viewer whose role has no right to the table yet, the other rules go on."""
    script(postgres_dsn, "ALTER TABLE omni2.process_losses RENAME TO elsewhere")
    told("p1", intake_queue_full=1)
    viewer = make_viewer(alert_seconds=0.1, **LOCAL)
    rule = make_rule(viewer, {"kind": "no_activity", "alert": 60})
    assert eventually(lambda: state_of(viewer, rule)["state"] == "ok")
