"""Finished flows reach Postgres: one row each, whatever the order, the process or the hour."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from dirty_equals import IsDatetime, IsInt, IsPartialDict
from inline_snapshot import snapshot

from spanflow.migrations.roles import grants
from spanflow.span_processors import flow_part
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive import build_archive
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.stages.sink import Receipt
from tests.support.archives import Archives, archives_in, deliver, replay
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query, script, value

HOUR = 3600 * 1000 * MS


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


def flows(archives: Archives, columns: str = "*") -> list[dict[str, Any]]:
    return query(archives.dsn, f"SELECT {columns} FROM omni2.interaction_flows ORDER BY flow_id")


def test_a_finished_flow_is_one_row_with_its_summary(archives: Archives) -> None:
    spans = [
        span(1, name="POST /ask"),
        span(2, 1, event_type="auth_check", name="auth_check"),
        span(3, 1, event_type="tool_call", name="list_snapshots", attributes={"flow.data.tool": "list_snapshots"}),
    ]
    assert deliver(archives.make(), part(1, spans)) == Receipt(1)
    [row] = flows(archives)
    document = orjson.loads(row.pop("flow_data"))
    assert [event["name"] for event in document["events"]] == ["POST /ask", "auth_check", "list_snapshots"]
    del document["events"]
    assert document == snapshot(
        {
            "stated": {"user_id": "7", "session_id": "s1"},
            "flow_id": "00000000000000000000000000000001",
            "user_id": 7,
            "processes": {
                "p1": {
                    "parts": {"d262c036": {"why": "root_ended", "at_ns": "1767614400004000000", "root_ended": True}},
                    "resource": {"attributes": {"service.name": "gateway"}},
                }
            },
            "session_id": "s1",
            "conversation_id": None,
        }
    )
    assert row == snapshot(
        {
            "flow_id": "00000000000000000000000000000001",
            "start_key": IsDatetime(),
            "started_at": datetime(2026, 1, 5, hour=12, microsecond=1000, tzinfo=UTC),
            "ended_at": datetime(2026, 1, 5, hour=12, microsecond=2000, tzinfo=UTC),
            "session_id": "s1",
            "user_id": "7",
            "conversation_id": None,
            "source": "web",
            "name": "POST /ask",
            "created_at": datetime(2026, 1, 5, hour=12, microsecond=1000, tzinfo=UTC),
            "completed_at": datetime(2026, 1, 5, hour=12, microsecond=2000, tzinfo=UTC),
            "duration_ms": 1.0,
            "outcome": "ok",
            "outcome_reason": None,
            "gate": None,
            "reason": None,
            "status": "unset",
            "status_message": None,
            "error_count": 0,
            "denied_count": 0,
            "span_count": 3,
            "checkpoint_count": 2,
            "tokens_in": 0,
            "tokens_out": 0,
            "cost": None,
            "event_types": ["span", "auth_check", "tool_call"],
            "tools": ["list_snapshots"],
            "mcp_servers": [],
            "models": [],
            "processes": ["p1"],
            "redacted_count": 0,
            "cut_spans": 0,
            "cut_bytes": 0,
            "complete": True,
            "complete_why": "root_ended",
            "search": "'=auth_check:auth_check' '=span:POST /ask' '=tool_call:list_snapshots' "
            "'ask' 'auth' 'auth_check' 'check' 'list' 'list_snapshots' 'post' 'snapshots'",
            "flow_bytes": 1101,
            "legacy": None,
            "revision": 1,
            "updated_at": IsDatetime(),
        }
    )
    assert archives.safe == [f"{1:032x}"]


def test_a_part_that_comes_twice_changes_nothing(archives: Archives) -> None:
    archive = archives.make()
    once = part(1, [span(1), span(2, 1)], redacted=3)
    deliver(archive, once)
    before = flows(archives)
    deliver(archive, once, once)
    deliver(archives.make(), once)
    assert flows(archives) == before


def test_late_spans_are_merged_into_the_row(archives: Archives) -> None:
    archive = archives.make()
    deliver(archive, part(1, [span(1)], redacted=1))
    deliver(archive, part(1, [span(2, 1, event_type="tool_call")], redacted=2))
    assert flows(archives, "span_count, checkpoint_count, redacted_count, revision, complete") == [
        {"span_count": 2, "checkpoint_count": 1, "redacted_count": 3, "revision": 2, "complete": True}
    ]


def test_a_flow_is_not_complete_before_the_process_of_its_root_has_been_heard(archives: Archives) -> None:
    callee = part(1, [span(2, 1)], process="server", identity=NOBODY, root_ended=True)
    deliver(archives.make("server"), callee)
    assert flows(archives, "complete, ended_at, user_id") == [
        {"complete": True, "ended_at": IsDatetime(), "user_id": None}
    ]
    deliver(archives.make("edge"), part(1, [span(1, ended=False)], process="edge", reason=flow_part.IDLE))
    assert flows(archives, "complete, ended_at, user_id") == [{"complete": False, "ended_at": None, "user_id": "7"}]
    deliver(archives.make("edge"), part(1, [span(1)], process="edge"))
    assert flows(archives, "complete, outcome, processes") == [
        {"complete": True, "outcome": "ok", "processes": ["edge", "server"]}
    ]


@pytest.mark.parametrize(
    ("more", "settled"),
    [
        ({}, True),
        ({"reason": flow_part.SHUTDOWN}, True),
        ({"joined": True}, False),
        ({"reason": flow_part.IDLE}, False),
        ({"reason": flow_part.MAX_AGE}, False),
        ({"reason": flow_part.PRESSURE}, False),
    ],
)
def test_a_flow_that_goes_on_elsewhere_or_here_stays_in_the_index_of_open_flows(
    archives: Archives, more: dict[str, Any], settled: bool
) -> None:
    archive = archives.make()
    deliver(archive, part(1, [span(1)], **more))
    archive.set_aside([part(2, [span(1)], **more)])
    assert archives.safe == ([f"{1:032x}", f"{2:032x}"] if settled else [])


def test_a_process_that_ends_in_the_middle_interrupts_its_flow(archives: Archives) -> None:
    deliver(archives.make(), part(1, [span(1, ended=False), span(2, 1)], reason=flow_part.SHUTDOWN))
    assert flows(archives, "outcome, complete, complete_why") == [
        {"outcome": "interrupted", "complete": True, "complete_why": "shutdown"}
    ]


def test_a_flow_that_its_caller_ended_is_complete_without_a_root(archives: Archives) -> None:
    deliver(archives.make(), part(1, [span(2, 1, ended=False)], reason=flow_part.ENDED_BY_CALLER))
    assert flows(archives, "complete, complete_why") == [{"complete": True, "complete_why": "ended_by_caller"}]


def test_the_key_of_a_flow_never_changes_though_its_start_does(archives: Archives) -> None:
    archive = archives.make()
    now = _database_now(archives)
    deliver(archive, part(1, [span(2, 1, start_ns=now)]))
    [before] = flows(archives, "start_key, started_at")
    deliver(archive, part(1, [span(1, start_ns=now - 30 * 24 * HOUR)]))
    [after] = flows(archives, "start_key, started_at")
    assert before["start_key"] == after["start_key"]
    assert (before["started_at"] - after["started_at"]).days == 30


@pytest.mark.parametrize("years", [-60, -1, 1, 70, 300])
def test_a_clock_that_is_years_off_costs_nothing_but_the_week(archives: Archives, years: int) -> None:
    at = max(0, _database_now(archives) + years * 365 * 24 * HOUR)
    archive = archives.make()
    deliver(archive, part(1, [span(1, start_ns=at)]))
    deliver(archive, part(1, [span(2, 1, start_ns=_database_now(archives))]))
    assert flows(archives, "span_count") == [{"span_count": 2}]


def test_a_span_that_was_open_for_25_hours_is_one_flow(archives: Archives) -> None:
    archive = archives.make()
    start = _database_now(archives) - 25 * HOUR
    deliver(archive, part(1, [span(1, ended=False, start_ns=start)], reason=flow_part.MAX_AGE))
    assert flows(archives, "complete, complete_why") == [{"complete": False, "complete_why": "max_age"}]
    deliver(archive, part(1, [span(1, start_ns=start, end_ns=start + 25 * HOUR)]))
    assert flows(archives, "complete, complete_why, duration_ms") == [
        {"complete": True, "complete_why": "root_ended", "duration_ms": 25 * 3600 * 1000.0}
    ]


def _database_now(archives: Archives) -> int:
    found: datetime = value(archives.dsn, "SELECT now()")
    return int((found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) * MS


def test_limits_cut_the_end_of_a_flow_and_say_so(archives: Archives) -> None:
    archive = archives.make(max_flow_spans=10)
    deliver(archive, part(1, [span(1), *(span(number, 1) for number in range(2, 31))], cut_spans=5, cut_bytes=700))
    [row] = flows(archives, "span_count, cut_spans, cut_bytes, flow_data")
    document = orjson.loads(row.pop("flow_data"))
    assert row == {"span_count": 10, "cut_spans": 25, "cut_bytes": IsInt(gt=700)}
    assert document["cut"] == {"spans": 20, "bytes": row["cut_bytes"] - 700}
    assert [event["name"] for event in document["events"]] == [f"step {number}" for number in range(1, 11)]
    before = flows(archives)
    deliver(archive, part(1, [span(1), *(span(number, 1) for number in range(2, 31))], cut_spans=5, cut_bytes=700))
    assert flows(archives) == before


def test_the_bytes_of_a_flow_are_bounded_too(archives: Archives) -> None:
    big = {"flow.data.text": "x" * 100_000}
    spans = [span(1), *(span(number, 1, attributes=big) for number in range(2, 12))]
    deliver(archives.make(max_flow_bytes=350_000), part(1, spans))
    assert flows(archives, "span_count, cut_spans, cut_bytes, flow_bytes") == [
        {"span_count": 4, "cut_spans": 7, "cut_bytes": IsInt(gt=700_000), "flow_bytes": IsInt(lt=350_000)}
    ]


def test_the_user_directory_is_written_once_a_minute_and_when_something_new_is_known(archives: Archives) -> None:
    archive = archives.make()
    person = Identity(user_id="7", email="ada@example.org")
    deliver(archive, part(1, [span(1)], identity=person))
    [first] = query(archives.dsn, "SELECT *, xmin::text AS version FROM omni2.user_directory")
    assert first == IsPartialDict(user_id="7", email="ada@example.org", full_name=None)
    deliver(archive, part(2, [span(1)], identity=person), part(3, [span(1)], identity=Identity(user_id="7")))
    assert query(archives.dsn, "SELECT *, xmin::text AS version FROM omni2.user_directory") == [first]
    deliver(archive, part(4, [span(1)], identity=Identity(user_id="7", full_name="Ada Lovelace")))
    assert query(archives.dsn, "SELECT email, full_name FROM omni2.user_directory") == [
        {"email": "ada@example.org", "full_name": "Ada Lovelace"}
    ]


def test_many_processes_writing_the_same_flows_at_once_never_deadlock(archives: Archives) -> None:
    share = {
        name: [part(flow, [span(number, number - 1 or None)], process=name) for flow in range(40)]
        for number, name in enumerate(("a", "b", "c", "d"), start=1)
    }
    receipts: list[Receipt[FlowPart]] = []

    def write(name: str, parts: list[FlowPart]) -> None:
        archive = archives.make(name)
        for start in range(0, 40, 10):
            receipts.append(deliver(archive, *parts[start : start + 10]))
        receipts.append(deliver(archive, *reversed(parts)))

    threads = [threading.Thread(target=write, args=work) for work in share.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.delivered for receipt in receipts) == 4 * 80
    assert value(archives.dsn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert {(row["span_count"], len(row["processes"])) for row in flows(archives)} == {(4, 4)}
    assert len(flows(archives)) == 40


def test_a_forked_child_uses_a_connection_and_a_spool_of_its_own(archives: Archives) -> None:
    archive = archives.make()
    deliver(archive, part(1, [span(1)]))
    archive.set_aside([part(2, [span(1)])])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            archive.after_fork()
            deliver(archive, part(3, [span(1)]))
            archive.set_aside([part(4, [span(1)])])
            replay(archive)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [row["flow_id"][-1] for row in flows(archives)] == ["1", "3", "4"]
    deliver(archive, part(5, [span(1)]))
    assert [row["flow_id"][-1] for row in flows(archives)] == ["1", "2", "3", "4", "5"], (
        "the parent's own, replayed too"
    )


def test_writing_the_archive_is_not_traced_by_an_instrumented_asyncpg(
    archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[str] = []

    def traces(name: str) -> Any:
        original = getattr(asyncpg.Connection, name)

        async def method(self: Any, *arguments: Any, **options: Any) -> Any:
            traced.append(name)
            return await original(self, *arguments, **options)

        return method

    for name in ("execute", "executemany", "fetch", "fetchval", "fetchrow"):
        monkeypatch.setattr(asyncpg.Connection, name, traces(name))
    deliver(archives.make(), part(1, [span(1)]))
    assert value(archives.dsn, "SELECT count(*) FROM omni2.interaction_flows") == 1
    assert traced == ["fetch"], "that was the test's own question"


def test_nothing_is_opened_before_the_first_delivery(tmp_path: Path) -> None:
    archive = build_archive(Archives("postgresql://127.0.0.1:1/none", tmp_path / "data").settings(), lambda: "p1")
    assert archive.state.spool_bytes == 0
    archive.close(0)
    assert not (tmp_path / "data").exists()


def test_the_gateways_role_needs_no_more_than_it_is_granted(archives: Archives) -> None:
    script(archives.dsn, "CREATE ROLE spanflow_gateway_test LOGIN; " + grants(gateway="spanflow_gateway_test"))
    said = Activity("user_message", NOON, {"message": "hi"}, "c1")
    broken = FlowPart(f"{2:032x}", "p1", (b"no event",))
    archive = archives.make(postgres_dsn=archives.dsn.replace("//postgres@", "//spanflow_gateway_test@"))
    try:
        deliver(archive, part(1, [span(1)], activities=(said.to_bytes(),)), broken)
        deliver(archive, part(1, [span(2, 1)], activities=(Activity("user_message", 1, {}, "c1").to_bytes(),)))
    finally:
        archives.close()
        script(archives.dsn, "DROP OWNED BY spanflow_gateway_test; DROP ROLE spanflow_gateway_test")
    assert flows(archives, "span_count") == [{"span_count": 2}, {"span_count": 0}]
    tables = ("user_activities", "user_directory", "poison_records")
    assert [value(archives.dsn, f"SELECT count(*) FROM omni2.{table}") for table in tables] == [2, 1, 1]
