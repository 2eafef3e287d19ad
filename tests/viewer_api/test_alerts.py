"""Rules fire, resolve and are told, through the API, over real flows."""

import asyncio
import json
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from dirty_equals import IsStr
from inline_snapshot import snapshot
from websockets.asyncio.client import connect

from spanflow.span_processors.flow_part import REAPED
from spanflow.viewer_api.alerts.loss_reporter import LossReporter
from spanflow.viewer_api.alerts.observation import Level
from spanflow.viewer_api.alerts.rule import Definition, Rule
from spanflow.viewer_api.alerts.rule_store import RuleStore
from spanflow.viewer_api.alerts.state_machine import EventKind, Memory, Transition
from spanflow.viewer_api.store.database import Database
from tests.support.alerts import (
    ALERTS,
    LOCAL,
    Clock,
    Moments,
    ended_flow,
    kinds,
    make_channel,
    make_rule,
    state_of,
)
from tests.support.flow_parts import part, span
from tests.support.people import flow_id
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.query import query, script, value
from tests.support.redis_server import RedisServer
from tests.support.spanflow_command import running, spanflow
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.support.webhook_receiver import WebhookReceiver
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store
from tests.viewer_api.test_erasure import held


def test_a_slow_flow_fires_is_delivered_signed_and_resolves(
    make_viewer: MakeViewer, store: Store, receiver: WebhookReceiver
) -> None:
    viewer = make_viewer(alert_seconds=0.2, viewer_public_url="https://flows.example.com/tools", **LOCAL)
    channel = make_channel(viewer, receiver)
    rule = make_rule(
        viewer,
        {"kind": "longer_than", "alert": 2000, "warning": 500, "window_seconds": 60},
        channels=[channel["channel_id"]],
        resolve_seconds=0,
    )
    assert eventually(lambda: state_of(viewer, rule)["state"] == "ok")
    store(ended_flow(1, 58, took=3), ended_flow(2, 30, took=0.1))
    assert eventually(lambda: kinds(viewer) == ["firing", "resolved"], within=15)
    assert eventually(lambda: len(receiver.messages) == 2)
    firing, resolved = receiver.messages
    assert firing == snapshot(
        {
            "type": "alert.firing",
            "timestamp": IsStr(),
            "data": {
                "event_id": 1,
                "rule_id": IsStr(regex="[0-9a-f]{16}"),
                "name": "a rule",
                "at": IsStr(),
                "kind": "firing",
                "level": "alert",
                "condition": "longer_than",
                "value": 3000.0,
                "threshold": 2000.0,
                "unit": "ms",
                "since": IsStr(),
                "until": IsStr(),
                "flow_ids": ["00000000000000000000000000000001"],
                "flows": IsStr(regex="/api/v1/flows.min_duration_ms=500&since=.*&until=.*"),
                "losses": [],
                "link": IsStr(regex="https://flows.example.com/tools/#/alerts/[0-9a-f]{16}"),
            },
        }
    )
    assert resolved["data"]["kind"] == "resolved"


def test_a_share_of_errors_and_of_denials_over_a_window_with_enough_samples(
    watched: tuple[RunningViewer, Moments], store: Store
) -> None:
    viewer, moments = watched
    plain = {"window_seconds": 60, "min_samples": 4, "alert": 0.5}
    failing = make_rule(viewer, {"kind": "error_rate", "warning": 0.25, **plain}, resolve_seconds=0)
    denied = make_rule(viewer, {"kind": "denial_rate", **plain}, filters={"user_id": [8]})
    store(*(moments.flow(number, 5, outcome="error") for number in (1, 2)), moments.flow(3, 5))
    moments.after(0.5)
    # Three are too few.
    assert state_of(viewer, failing)["state"] == "no_data"
    store(*(moments.flow(number, 5) for number in range(4, 8)))
    moments.after(0.5)
    found = state_of(viewer, failing)
    assert (found["state"], found["level"], found["value"]) == ("firing", "warning", 2 / 7)
    assert sorted(found["flow_ids"]) == [flow_id(1), flow_id(2)]
    # The link leads to just these.
    assert sorted(flow["flow_id"] for flow in viewer.get(found["flows"])["flows"]) == [flow_id(1), flow_id(2)]
    store(*(moments.flow(number, 1, outcome="error") for number in range(8, 12)))
    moments.after(0.5)
    assert state_of(viewer, failing)["level"] == "alert"
    assert state_of(viewer, denied)["state"] == "no_data"
    store(*(moments.flow(number, 1, outcome="denied", user="8") for number in range(20, 24)))
    moments.after(0.5)
    assert state_of(viewer, denied)["value"] == 1.0
    moments.after(120)
    assert kinds(viewer) == ["firing", "escalated", "firing"]
    # Without data it stays.
    assert state_of(viewer, failing)["state"] == "firing"


def test_slower_than_so_many_times_the_own_p95(watched: tuple[RunningViewer, Moments], store: Store) -> None:
    viewer, moments = watched
    rule = make_rule(
        viewer,
        {"kind": "slower_than_usual", "alert": 3, "warning": 2, "window_seconds": 60, "min_samples": 5},
        filters={"checkpoint": ["tool_call"]},
    )
    store(*(moments.flow(number, 600, took=1.0) for number in range(1, 5)))
    moments.after(0.5)
    assert state_of(viewer, rule)["state"] == "no_data"
    store(*(moments.flow(number, 600, took=1.0) for number in range(5, 9)), moments.flow(10, 5, took=2.5))
    # A flow as fast as usual, which the links do not lead to.
    store(moments.flow(12, 5, took=1.0))
    moments.after(301 - 300)  # what was usual is remembered for five minutes
    assert state_of(viewer, rule)["state"] == "no_data"
    other = make_rule(viewer, rule["condition"], filters=rule["filters"], name="another")
    moments.after(0.5)
    found = state_of(viewer, other)
    assert (found["level"], found["value"], found["flow_ids"]) == ("warning", 2.5, [flow_id(10)])
    assert [flow["flow_id"] for flow in viewer.get(found["flows"])["flows"]] == [flow_id(10)]
    store(moments.flow(11, 2, took=4.0))
    moments.after(0.5)
    assert (state_of(viewer, other)["level"], state_of(viewer, other)["value"]) == ("alert", 4.0)
    newest = viewer.get("/api/v1/alerts/events")["events"][0]
    assert [flow["flow_id"] for flow in viewer.get(newest["flows"])["flows"]] == [flow_id(11), flow_id(10)]


def test_a_flow_that_hangs_fires_while_it_hangs(watched: tuple[RunningViewer, Moments], make_flow: MakeFlow) -> None:
    viewer, moments = watched
    rule = make_rule(viewer, {"kind": "still_running", "alert": 120, "warning": 60}, filters={"user_id": ["7"]})
    flow, other = (make_flow(user, start_ns=moments.started(0)) for user in "78")
    for each in (flow, other):
        each.start("root")
        each.start("call", "root", "tool_call")
    moments.after(30)
    assert state_of(viewer, rule)["state"] == "ok"
    moments.after(40)
    assert (state_of(viewer, rule)["level"], state_of(viewer, rule)["flow_ids"]) == ("warning", [flow.flow_id])
    moments.after(60)
    assert (state_of(viewer, rule)["level"], kinds(viewer)) == ("alert", ["firing", "escalated"])
    flow.end("call", "root", "tool_call")
    flow.end("root")
    flow.close()
    moments.after(1)
    assert state_of(viewer, rule)["state"] == "resolving"


def test_many_flows_that_do_something_do_not_hide_one_that_hangs(
    watched: tuple[RunningViewer, Moments], make_flow: MakeFlow, redis_url: str
) -> None:
    viewer, moments = watched
    rule = make_rule(viewer, {"kind": "still_running", "alert": 60})
    hanging = make_flow("7", start_ns=moments.started(90))
    hanging.start("root")
    for _ in range(260):
        make_flow("8", session_id=None, watched=False).start("root")
    moments.after(1)
    assert state_of(viewer, rule)["flow_ids"] == [hanging.flow_id]


def test_without_redis_a_rule_stays_as_it_is_and_says_why(
    make_viewer: MakeViewer, clock: Clock, make_flow: MakeFlow, redis_server: RedisServer
) -> None:
    viewer = make_viewer(alert_seconds=0.1, clock=clock, url=redis_server.url)
    moments = Moments(viewer, clock)
    rule = make_rule(viewer, {"kind": "still_running", "alert": 60})
    other = make_rule(viewer, {"kind": "longer_than", "alert": 60})
    make_flow("7", url=redis_server.url, start_ns=moments.started(90)).start("root")
    moments.after(1)
    assert state_of(viewer, rule)["state"] == "firing"
    redis_server.stop()
    moments.after(1)
    found = state_of(viewer, rule)
    assert (found["state"], found["problem"]) == ("firing", "redis_unavailable")
    assert state_of(viewer, other)["problem"] is None
    redis_server.start()


def test_no_activity(watched: tuple[RunningViewer, Moments], store: Store, make_flow: MakeFlow) -> None:
    viewer, moments = watched
    condition = {"kind": "no_activity", "alert": 300, "warning": 100}
    rule = make_rule(viewer, condition, filters={"user_id": ["7"]}, resolve_seconds=0)
    store(moments.flow(1, 200), moments.flow(2, 1, user="8"))
    moments.after(0.5)
    found = state_of(viewer, rule)
    assert (found["level"], 190 < found["value"] < 201) == ("warning", True)
    flow = make_flow("7")
    flow.start("root")
    moments.after(500)
    assert (state_of(viewer, rule)["state"], state_of(viewer, rule)["value"]) == ("ok", 0)
    flow.close()
    moments.after(1)
    found = state_of(viewer, rule)
    assert (found["level"], 690 < found["value"] < 703) == ("alert", True)


def test_our_own_losses(watched: tuple[RunningViewer, Moments], store: Store, postgres_dsn: str, clock: Clock) -> None:
    viewer, moments = watched
    rule = make_rule(viewer, {"kind": "losses", "alert": 12, "warning": 1})
    only_dropped = make_rule(viewer, {"kind": "losses", "alert": 1, "of": ["dropped"]})
    moments.after(0.5)
    assert state_of(viewer, rule)["state"] == "ok"
    now = f"to_timestamp({clock.now})"
    script(
        postgres_dsn,
        f"INSERT INTO omni2.poison_records (at, kind, error, payload) VALUES ({now}, 'flow', 'why', ''); "
        f"INSERT INTO omni2.loss_reports VALUES ({now}, 'p', 'spooled', 3)",
    )
    dead = part(2, [span(20, ended=False, start_ns=moments.started(1))], reason=REAPED, root_ended=False)
    store(replace(moments.flow(1, 1), cut_spans=7), dead)
    moments.after(0.5)
    found = state_of(viewer, rule)
    assert (found["level"], found["value"]) == ("alert", 12)
    assert state_of(viewer, only_dropped)["state"] == "ok"
    refused = viewer.http.post(ALERTS, json={"name": "x", "condition": {"kind": "losses"}, "filters": {"user_id": [7]}})
    assert refused.status_code == 422
    assert "leave out the filters" in refused.json()["detail"]


@pytest.mark.anyio
async def test_what_a_viewer_loses_is_reported_once(postgres_dsn: str) -> None:
    lost = {"intake.queue_full": 3, "reaper.waiting": 0}
    async with asyncpg.create_pool(postgres_dsn, min_size=0) as pool:
        reporter = LossReporter(Database(pool, "omni2", 5), "p", lambda: lost, time.time)
        await reporter.run()
        await reporter.run()
        lost["intake.queue_full"] = 5
        await reporter.run()
    rows = await asyncio.to_thread(query, postgres_dsn, "SELECT kind, number FROM omni2.loss_reports ORDER BY at")
    assert rows == [{"kind": "dropped", "number": 3}, {"kind": "dropped", "number": 2}]


def test_the_preview_says_what_would_have_fired_and_stores_nothing(
    watched: tuple[RunningViewer, Moments], store: Store, postgres_dsn: str
) -> None:
    viewer, moments = watched
    store(
        moments.flow(1, 3000, took=30),
        moments.flow(2, 2000, took=0.1),
        moments.flow(3, 600, took=40),
        moments.flow(4, 60),
    )
    body = {
        "name": "x",
        "condition": {"kind": "longer_than", "alert": 2000, "window_seconds": 60},
        "resolve_seconds": 0,
    }
    found = viewer.post(f"{ALERTS}/preview", body)
    assert (found["fired"], found["resolved"], found["notifications"], found["flows"]) == (2, 2, 4, 4)
    assert [event["flow_ids"] for event in found["events"] if event["kind"] == "firing"] == [[flow_id(1)], [flow_id(3)]]
    running = viewer.post(f"{ALERTS}/preview", {"name": "x", "condition": {"kind": "still_running", "alert": 20}})
    assert running["fired"] == 2
    silent = viewer.post(f"{ALERTS}/preview", {"name": "x", "condition": {"kind": "no_activity", "alert": 1200}})
    assert silent["fired"] >= 1
    assert viewer.get(ALERTS)["rules"] == viewer.get(f"{ALERTS}/events")["events"] == []
    too_long = viewer.http.post(f"{ALERTS}/preview", json={**body, "since": "2020-01-01"})
    assert (too_long.status_code, too_long.json()["code"]) == (422, "range_too_long")


@pytest.mark.anyio
async def test_live_sockets_are_told_by_whichever_viewer_they_are_at(
    make_viewer: MakeViewer, store: Store, clock: Clock
) -> None:
    one, other = (make_viewer(alert_seconds=0.1, clock=clock) for _ in range(2))
    rule = make_rule(one, {"kind": "longer_than", "alert": 2000})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with connect(f"{other.ws}/api/v1/live", additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["type"] == "hello"
        await socket.send('{"type": "subscribe", "alerts": true}')
        assert json.loads(await socket.recv()) == {"type": "subscribed", "alerts": True}
        await asyncio.to_thread(store, ended_flow(1, 5, took=3))
        clock.now += 1
        async with asyncio.timeout(15):
            message = json.loads(await socket.recv())
        assert message["type"] == "alert"
        assert (message["alert"]["rule_id"], message["alert"]["kind"]) == (rule["rule_id"], "firing")
        assert message["alert"]["flow_ids"] == [flow_id(1)]


def test_a_viewer_that_is_killed_while_it_evaluates_hands_over(
    make_viewer: MakeViewer, store: Store, postgres_dsn: str, redis_url: str, tmp_path: Path, receiver: WebhookReceiver
) -> None:
    """It holds the lock, and dies before it has committed: the other one does the same once, and it is told once."""
    port = free_port()
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKEN": TOKEN,
        "SPANFLOW_DATA_DIR": str(tmp_path / "killed"),
        "SPANFLOW_ALERT_SECONDS": "1",
        "SPANFLOW_ALERT_NETWORKS": "127.0.0.0/8",
    }
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    #: Whoever waits for the table and has the lock of the evaluator.
    locks = (
        "SELECT count(*) FROM pg_locks AS waiting JOIN pg_locks AS turn USING (pid) WHERE NOT waiting.granted "
        "AND waiting.relation = 'omni2.alert_states'::regclass AND turn.locktype = 'advisory' AND turn.granted"
    )
    with running("serve", "--port", str(port), settings=there) as doomed:
        base = f"http://127.0.0.1:{port}{ALERTS}"
        doomed.wait_for("Application startup complete")
        channel = httpx.post(
            f"{base}/channels", headers=bearer, json={"kind": "webhook", "name": "hook", "url": receiver.url}
        ).json()
        with held(postgres_dsn, "LOCK TABLE omni2.alert_states IN ACCESS EXCLUSIVE MODE"):
            condition = {"kind": "longer_than", "alert": 2000}
            body = {"name": "slow", "condition": condition, "channels": [channel["channel_id"]]}
            store(ended_flow(1, 5, took=3))
            script(
                postgres_dsn,
                "INSERT INTO omni2.alert_rules (rule_id, definition, created_by, changed_by) "
                f"VALUES ('0000000000000001', '{json.dumps(body)}', 'ann', 'ann')",
            )
            # In the middle of a round: it has the lock, and waits for the table.
            assert eventually(lambda: value(postgres_dsn, locks) == 1, within=20)
            doomed.end(signal.SIGKILL)
        other = make_viewer(alert_seconds=0.5, **LOCAL)
        assert eventually(lambda: kinds(other) == ["firing"], within=20)
        assert eventually(lambda: len(receiver.messages) == 1, within=10)
    assert kinds(other) == ["firing"]


@pytest.mark.anyio
async def test_a_rule_that_is_deleted_while_it_is_evaluated_breaks_no_round(postgres_dsn: str) -> None:
    """What was found about it is left out, also when the deletion is committed only then."""
    definition = Definition.model_validate({"name": "x", "condition": {"kind": "longer_than", "alert": 1}})
    now = datetime.now(UTC)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    async with asyncpg.create_pool(postgres_dsn, min_size=2) as pool:
        database = Database(pool, "omni2", 5)
        rules = RuleStore(database)
        for found in ("state", "event"):
            async with database.transaction() as connection:
                rule_id = await rules.add(connection, definition, True, "admin", now)
            rule = Rule(rule_id, definition, True, None, 1, now, "admin", now, "admin")

            async def evaluated(rule: Rule = rule, found: str = found) -> int | None:
                async with database.transaction() as connection:
                    if found == "state":
                        await rules.keep_state(connection, rule, Memory.fresh(now), (), now)
                        return None
                    fired = Transition(EventKind.FIRING, Level.ALERT)
                    return await rules.add_event(connection, rule, fired, Memory.fresh(now), now, now, ())

            async with database.transaction() as deleting:
                await rules.delete(deleting, rule_id)
                evaluation = asyncio.create_task(evaluated())
                assert await asyncio.to_thread(eventually, lambda: value(postgres_dsn, waiting) > 0, within=10)
            assert await evaluation is None, found


def test_several_viewers_do_no_more_rounds_than_one(make_viewer: MakeViewer, clock: Clock) -> None:
    viewers = [make_viewer(alert_seconds=0.1, clock=clock) for _ in range(3)]
    make_rule(viewers[0], {"kind": "longer_than", "alert": 2000})
    before = sum(viewer.app.state.viewer.alerts.evaluator.rounds for viewer in viewers)
    for _ in range(5):
        Moments(viewers[0], clock).after(1)
    assert sum(viewer.app.state.viewer.alerts.evaluator.rounds for viewer in viewers) - before == 5


def test_an_erasure_takes_the_rules_about_somebody_and_the_ids_of_their_flows(
    watched: tuple[RunningViewer, Moments], store: Store, postgres_dsn: str
) -> None:
    viewer, moments = watched
    condition = {"kind": "longer_than", "alert": 2000}
    make_rule(viewer, condition, filters={"user_id": ["7"]})
    both = make_rule(viewer, condition, filters={"user_id": ["7", "8"]}, name="both")
    store(moments.flow(1, 5, took=3, user="7"), moments.flow(2, 5, took=3, user="8"))
    moments.after(1)
    assert sorted(state_of(viewer, both)["flow_ids"]) == [flow_id(1), flow_id(2)]
    assert viewer.get("/api/v1/users/7/data")["stored"]["alerts"] == 2
    response = viewer.http.delete("/api/v1/users/7/data", headers={"X-Spanflow-Reason": "request 1"})
    assert response.json()["erased"]["alerts"] == 3
    rules = viewer.get(ALERTS)["rules"]
    assert [(rule["name"], rule["filters"]["user_id"]) for rule in rules] == [("both", ["8"])]
    for table in ("alert_events", "alert_states"):
        ids = query(postgres_dsn, f"SELECT flow_ids FROM omni2.{table}")
        assert [row["flow_ids"] for row in ids] == [[flow_id(2)]], table


def test_from_the_terminal(make_viewer: MakeViewer, store: Store, receiver: WebhookReceiver) -> None:
    viewer = make_viewer(alert_seconds=0.2, **LOCAL)
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}

    def run(*words: str, code: int = 0) -> str:
        done = spanflow("alerts", *words, **there)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "whsec_" in run("add-channel", "hook", "--webhook", receiver.url)
    assert "hook" in run("channels")
    assert run("test", "hook").strip() == "Delivered."
    assert "Slow" in run("add", "Slow", "--longer-than", "2000", "--tool", "t", "--channel", "hook", "--for", "0")
    assert "state one condition" in run("add", "Slow", "--longer-than", "1", "--error-rate", "0.1", code=2)
    assert "no channel" in run("add", "Slow", "--longer-than", "1", "--channel", "nobody", code=2)
    (rule,) = json.loads(run("--json"))["rules"]
    assert rule["condition"] == {"kind": "longer_than", "alert": 2000, "warning": None, "window_seconds": 300}
    assert rule["filters"]["tool"] == ["t"]
    store(ended_flow(1, 5, took=3))
    assert "fired 1 times" in run("preview", "Slow", "--longer-than", "2000")
    assert "snoozed until" in run("snooze", "Slow", "--seconds", "60")
    assert ": disabled" in run("disable", "Slow")
    assert "disabled" in run()
    assert run("delete", "Slow").strip() == "Deleted."
    steps = ("add", "Search", "--step-slower-than-usual", "3")
    assert "Search" in run(*steps, "--tool", "search", "--slowest")
    (rule,) = json.loads(run("--json"))["rules"]
    condition = {name: rule["condition"][name] for name in ("kind", "by", "name", "of", "alert")}
    assert condition == {"kind": "step_slower_than_usual", "by": "tool", "name": "search", "of": "slowest", "alert": 3}
    for wrong in ((), ("--tool", "a", "--model", "b"), ("--user", "7")):
        assert "name the steps" in run(*steps, *wrong, code=2)
    run("delete", "Search")
    assert "Fails" in run("add", "Fails", "--error-rate", "0.1", "--step", "tool_call:search, all", "--step", "agent:x")
    (rule,) = json.loads(run("--json"))["rules"]
    assert rule["filters"]["step"] == ["tool_call:search, all", "agent:x"]
    run("delete", "Fails")
    assert "Nothing has happened" in run("events")
    assert "delivered" in run("deliveries")
    assert run("delete-channel", "hook").strip() == "Deleted."
