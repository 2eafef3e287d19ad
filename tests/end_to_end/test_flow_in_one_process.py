"""From a gateway's calls to Redis and Postgres, through everything in between."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.instrumentation import (
    checkpoint,
    flow,
    get_activity_tracker,
    identify,
    record_assistant_response,
    record_user_message,
)
from spanflow.instrumentation.configure import configure, shutdown
from spanflow.span_processors import names
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.tree import flow_data


@pytest.fixture
def gateway(fresh_otel: None, redis_url: str, postgres_dsn: str, tmp_path: Path) -> Iterator[Settings]:
    """This process as a traced gateway."""
    settings = Settings(
        enabled=True, redis_url=redis_url, postgres_dsn=postgres_dsn, data_dir=str(tmp_path), flow_grace=0.05
    )
    assert configure(settings=settings)
    yield settings
    shutdown()


def rows(settings: Settings, query: str, *arguments: Any) -> list[dict[str, Any]]:
    async def fetch() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(settings.postgres_dsn)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def ask() -> str:
    """One chat turn, as a gateway would write it. Who it is becomes known in its middle."""
    with flow("chat turn", source="web") as turn:
        with checkpoint("auth_check"):
            identify(user_id=42, email="neo@example.com", session_id="s-1", conversation_id="c-1")
        record_user_message("status of job 7? my password=hunter2")
        with checkpoint("usage_check") as usage:
            usage.set(remaining=17)
        with checkpoint("llm_thinking", provider="demo", model="m-1") as thinking:
            with checkpoint("tool_call", mcp="qa_mcp", tool="list_snapshots", api_key="k-1"):
                pass
            thinking.set(input_tokens=120, output_tokens=30)
        record_assistant_response("It runs.", 150)
    return turn.flow_id


def test_a_flow_is_in_redis_and_then_in_postgres_with_the_same_tree(gateway: Settings) -> None:
    flow_id = ask()
    shutdown()
    with redis.Redis.from_url(gateway.redis_url, decode_responses=True) as client:
        stream: Any = client.xrange(names.flow_stream(flow_id))
        live = flow_data.read([json.loads(fields["e"]) for _, fields in stream])
        assert client.zrange(names.user_flows("42"), 0, -1) == [flow_id]
        assert client.zrange(names.session_flows("s-1"), 0, -1) == [flow_id]
        assert client.zrange(names.OPEN_FLOWS, 0, -1) == []
    (row,) = rows(gateway, "SELECT * FROM omni2.interaction_flows WHERE flow_id = $1", flow_id)
    stored = flow_data.read(json.loads(row["flow_data"]))
    assert stored.tree().rows() == live.tree().rows()
    assert [(node["depth"], node["event_type"], node["outcome"]) for node in stored.tree().rows()[1:]] == snapshot(
        [(1, "auth_check", "ok"), (1, "usage_check", "ok"), (1, "llm_thinking", "ok"), (2, "tool_call", "ok")]
    )
    assert {name: row[name] for name in ("user_id", "session_id", "conversation_id", "source", "outcome")} == snapshot(
        {"user_id": "42", "session_id": "s-1", "conversation_id": "c-1", "source": "web", "outcome": "ok"}
    )
    assert {name: row[name] for name in ("span_count", "checkpoint_count", "error_count", "tools")} == snapshot(
        {"span_count": 5, "checkpoint_count": 4, "error_count": 0, "tools": ["list_snapshots"]}
    )


def test_secrets_are_in_neither(gateway: Settings) -> None:
    flow_id = ask()
    shutdown()
    with redis.Redis.from_url(gateway.redis_url, decode_responses=True) as client:
        assert "k-1" not in repr(client.xrange(names.flow_stream(flow_id)))
    assert "k-1" not in repr(rows(gateway, "SELECT * FROM omni2.interaction_flows"))
    assert "hunter2" not in repr(rows(gateway, "SELECT * FROM omni2.user_activities"))


def test_activities_are_rows_numbered_within_their_conversation(gateway: Settings) -> None:
    ask()
    ask()
    asyncio.run(
        get_activity_tracker().record_user_message(
            db=object(), conversation_id="c-1", session_id="s-1", user_id=42, sequence_num=9, message="later"
        )
    )
    shutdown()
    found = rows(
        gateway,
        "SELECT sequence_num, activity_type, activity_data::text, user_id FROM omni2.user_activities"
        " WHERE conversation_id = 'c-1' ORDER BY sequence_num",
    )
    assert found == snapshot(
        [
            {
                "sequence_num": 1,
                "activity_type": "user_message",
                "activity_data": '{"message": "status of job 7? my password=[redacted]"}',
                "user_id": "42",
            },
            {
                "sequence_num": 2,
                "activity_type": "assistant_response",
                "activity_data": '{"message": "It runs.", "tokens_used": 150}',
                "user_id": "42",
            },
            {
                "sequence_num": 3,
                "activity_type": "user_message",
                "activity_data": '{"message": "status of job 7? my password=[redacted]"}',
                "user_id": "42",
            },
            {
                "sequence_num": 4,
                "activity_type": "assistant_response",
                "activity_data": '{"message": "It runs.", "tokens_used": 150}',
                "user_id": "42",
            },
            {
                "sequence_num": 9,
                "activity_type": "user_message",
                "activity_data": '{"message": "later", "message_length": 5}',
                "user_id": "42",
            },
        ]
    )


def test_the_user_directory_knows_who_was_seen(gateway: Settings) -> None:
    ask()
    shutdown()
    assert rows(gateway, "SELECT user_id, email, full_name FROM omni2.user_directory") == [
        {"user_id": "42", "email": "neo@example.com", "full_name": None}
    ]


def test_without_redis_and_postgres_the_gateway_runs_on(fresh_otel: None, tmp_path: Path) -> None:
    nowhere = replace(
        Settings(enabled=True, data_dir=str(tmp_path)),
        redis_url="redis://127.0.0.1:1/0",
        postgres_dsn="postgresql://127.0.0.1:1/none",
    )
    assert configure(settings=nowhere)
    assert ask() == IsStr(regex="[0-9a-f]{32}")
    shutdown(2.0)
    assert list((tmp_path / "spool").rglob("*.*")), "the flow waits on disk"
