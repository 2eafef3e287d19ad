"""What Spanflow records is seen by an application whose pages read tables of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from inline_snapshot import snapshot

from spanflow.migrations.run import downgrade, upgrade
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive import ArchiveSink
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.stages.sink import Receipt
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.own_trackers import TABLES, Synchronous
from tests.support.query import query, script, value

SESSION = UUID("11111111-2222-3333-4444-555555555555")
CONVERSATION = UUID("99999999-2222-3333-4444-555555555555")
WHOSE = Identity(user_id="1", session_id=str(SESSION), conversation_id=str(CONVERSATION), source="mcp_gateway")
STEPS = [
    span(1, name="POST /ask"),
    span(2, 1, event_type="auth_check", attributes={"flow.data.status": "passed"}),
    span(3, 2, name="somebody else's"),
    span(4, 3, event_type="tool_call", attributes={"flow.data.mcp": "qa_mcp", "flow.data.tool": "list"}),
]


@pytest.fixture
def application(empty_postgres_dsn: str) -> Synchronous:
    script(empty_postgres_dsn, TABLES)
    upgrade(empty_postgres_dsn, "spanflow")
    return Synchronous(empty_postgres_dsn)


@pytest.fixture
def archive(application: Synchronous, tmp_path: Path) -> Iterator[ArchiveSink]:
    with archives_in(application.dsn, tmp_path) as archives:
        yield archives.make(schema="spanflow")


def stored(archive: ArchiveSink, *parts: Any) -> None:
    receipt: Receipt[Any] = deliver(archive, *parts)
    assert receipt.delivered == len(parts)


def test_a_flow_is_a_row_of_the_applications_in_its_own_shape(application: Synchronous, archive: ArchiveSink) -> None:
    stored(archive, part(1, STEPS, identity=WHOSE))
    session, user, document, created, completed = application.flow_of_session(str(SESSION))
    assert (session, user) == (SESSION, 1)
    assert document == snapshot(
        {
            "events": [
                {
                    "source": "mcp_gateway",
                    "status": "passed",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": "0000000000000002",
                    "parent_id": "",
                    "timestamp": "1767614400.002",
                    "event_type": "auth_check",
                    "duration_ms": 1.0,
                },
                {
                    "mcp": "qa_mcp",
                    "tool": "list",
                    "source": "mcp_gateway",
                    "status": "ok",
                    "flow_id": "00000000000000000000000000000001",
                    "node_id": "0000000000000004",
                    "parent_id": "0000000000000002",
                    "timestamp": "1767614400.004",
                    "event_type": "tool_call",
                    "duration_ms": 1.0,
                },
            ],
            "user_id": 1,
            "spanflow": True,
            "session_id": "11111111-2222-3333-4444-555555555555",
        }
    )
    assert (completed - created).total_seconds() > 0
    assert [tuple(row) for row in application.tool_calls(100_000)] == [("qa_mcp", "list", 1, 1)]
    assert [tuple(row) for row in application.sources()] == [("mcp_gateway", 1, 2, 1)]


def test_later_parts_and_flows_of_a_session_are_put_together(application: Synchronous, archive: ArchiveSink) -> None:
    stored(archive, part(1, STEPS[:2], identity=WHOSE))
    stored(archive, part(1, STEPS[2:], identity=WHOSE, process="p2"))
    stored(archive, part(1, STEPS[2:], identity=WHOSE, process="p2"))
    later = span(50, event_type="llm_complete", attributes={"flow.data.tokens": 3})
    stored(archive, part(2, [later], identity=WHOSE))
    events = application.flow_of_session(str(SESSION))[2]["events"]
    assert [event["event_type"] for event in events] == ["auth_check", "tool_call", "llm_complete"]
    assert value(application.dsn, "SELECT count(*) FROM spanflow.interaction_flows") == 2


def test_a_flow_that_the_application_cannot_have_is_stored_in_ours_alone(
    application: Synchronous, archive: ArchiveSink
) -> None:
    stored(
        archive,
        part(1, STEPS, identity=Identity(user_id="ann", session_id=str(SESSION))),
        part(2, STEPS, identity=Identity(user_id="1", session_id="s-1")),
        part(3, STEPS, identity=Identity(session_id=str(SESSION))),
        part(4, STEPS[:1], identity=WHOSE),
        part(5, STEPS, identity=Identity(user_id="99999999999", session_id=str(SESSION))),
    )
    assert value(application.dsn, "SELECT count(*) FROM spanflow.interaction_flows") == 5
    assert value(application.dsn, "SELECT count(*) FROM omni2.interaction_flows") == 0
    assert value(application.dsn, "SELECT count(*) FROM spanflow.poison_records") == 0


def test_of_an_erased_person_nothing_comes_back_to_the_applications_table(
    application: Synchronous, archive: ArchiveSink
) -> None:
    query(application.dsn, "SELECT spanflow.begin_erasure('1')")
    bens = Identity(user_id="2", session_id=str(UUID(int=2)), source="mcp_gateway")
    # As a gateway's spool is replayed: with the flows of others, and with a flow whose user turns out late.
    stored(
        archive, part(1, STEPS, identity=WHOSE), part(2, STEPS, identity=bens), part(3, STEPS[:2], identity=Identity())
    )
    stored(archive, part(3, STEPS[2:], identity=WHOSE, process="p2"))
    assert query(application.dsn, "SELECT user_id FROM spanflow.interaction_flows") == [{"user_id": "2"}]
    assert query(application.dsn, "SELECT user_id FROM omni2.interaction_flows") == [{"user_id": 2}]


def test_activities_are_rows_of_the_applications_with_their_numbers(
    application: Synchronous, archive: ArchiveSink
) -> None:
    says = [
        Activity("user_message", NOON + place * MS, {"message": f"{place}"}, conversation_id=str(CONVERSATION))
        for place in range(3)
    ]
    stored(archive, part(1, STEPS, identity=WHOSE, activities=tuple(each.to_bytes() for each in says[1:])))
    assert application.next_number(CONVERSATION) == 3
    stored(archive, part(2, STEPS, identity=WHOSE, activities=(says[0].to_bytes(),)))
    rows = application.activities(CONVERSATION)
    assert [(row[1], row[3]["message"], row[4], row[5]) for row in rows] == [
        (1, "0", 1, SESSION),
        (2, "1", 1, SESSION),
        (3, "2", 1, SESSION),
    ]


def test_a_fault_of_the_applications_table_keeps_no_flow_from_ours(
    application: Synchronous, archive: ArchiveSink
) -> None:
    script(application.dsn, "ALTER TABLE omni2.interaction_flows ADD CHECK (source <> 'mcp_gateway')")
    stored(archive, part(1, STEPS, identity=WHOSE))
    assert value(application.dsn, "SELECT count(*) FROM spanflow.interaction_flows") == 1
    assert query(application.dsn, "SELECT kind, sqlstate FROM spanflow.poison_records") == [
        {"kind": "mirrored flow", "sqlstate": "23514"}
    ]


def test_a_table_without_one_row_per_session_gets_one_per_flow(application: Synchronous, archive: ArchiveSink) -> None:
    downgrade(application.dsn, "spanflow")
    script(application.dsn, "ALTER TABLE omni2.interaction_flows DROP CONSTRAINT interaction_flows_session_id_key")
    upgrade(application.dsn, "spanflow")
    stored(archive, part(1, STEPS[:2], identity=WHOSE), part(2, STEPS, identity=WHOSE))
    stored(archive, part(1, STEPS[2:], identity=WHOSE, process="p2"))
    assert [len(row[1]["events"]) for row in application.flows_of(1)] == [2, 2]


def test_what_was_mirrored_is_the_applications_history_after_spanflow_has_gone(
    application: Synchronous, archive: ArchiveSink
) -> None:
    stored(archive, part(1, STEPS, identity=WHOSE))
    downgrade(application.dsn, "spanflow")
    assert len(application.flows_of(1)) == 1
    upgrade(application.dsn, "spanflow")
    assert value(application.dsn, "SELECT tools::text FROM spanflow.interaction_flows") == "{list}"
