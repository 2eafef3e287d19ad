"""A gateway written against a `FlowTracker` of its own gives whole flows in every way in which gateways are started."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from spanflow.span_processors.tree import flow_data
from tests.instrumentation.test_process_models import MODELS, ask, environment
from tests.support.gateway_process import gateway_process
from tests.support.query import query

EVERY_TIME = ("uvicorn", "gunicorn --preload")


def older(command: Sequence[str], gateway: str = "older") -> list[str]:
    return [part.replace("gateways.unchanged", f"gateways.{gateway}") for part in command]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(older(command), id=name, marks=[] if name in EVERY_TIME else [pytest.mark.long])
        for name, command in MODELS.items()
        if name != "configure"
    ],
)
def test_its_calls_become_whole_flows(
    command: Sequence[str], redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = environment(
        redis_url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_dsn,
        SPANFLOW_DATA_DIR=str(tmp_path / "spool"),
        SPANFLOW_REPLACE_FLOW_TRACKER="tests.instrumentation.gateways.older_tracker.FlowTracker",
    )
    with gateway_process(command, tmp_path / "log", settings) as gateway:
        ask(gateway, 6)
    assert_whole(postgres_dsn)


def test_one_that_changes_its_two_imports_gives_whole_flows_and_activities(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = environment(
        redis_url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_dsn,
        SPANFLOW_DATA_DIR=str(tmp_path / "spool"),
    )
    with gateway_process(older(MODELS["uvicorn"], "older_imports"), tmp_path / "log", settings) as gateway:
        ask(gateway, 6)
    assert_whole(postgres_dsn)
    activities = query(
        postgres_dsn,
        "SELECT user_id, session_id, sequence_num, activity_type, activity_data ->> 'message' AS message "
        "FROM omni2.user_activities WHERE conversation_id = 'c-1' ORDER BY sequence_num",
    )
    assert [tuple(row.values()) for row in activities] == [
        ("7", "s-1", number, kind, message)
        for number, (kind, message) in enumerate([("user_message", "list"), ("assistant_response", "done")] * 6, 1)
    ]


def assert_whole(dsn: str) -> None:
    rows = query(dsn, "SELECT user_id, session_id, outcome, flow_data FROM omni2.interaction_flows")
    assert [(row["user_id"], row["session_id"], row["outcome"]) for row in rows] == [("7", "s-1", "ok")] * 6
    for row in rows:
        tree = flow_data.read(json.loads(row["flow_data"])).tree()
        assert ["  " * node["depth"] + node["name"] for node in tree.rows()] == [
            "GET /ask",
            "  auth_check",
            "    chat m-1",
            "      tools/call list",
            "      llm_complete",
        ]
