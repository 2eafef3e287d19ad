"""A gateway that traced itself before moves to Spanflow and back, and at every stage all of it works.

Stages: without Spanflow; migrated, while its own trackers still write; with its trackers replaced; and gone back.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.asyncio.client import connect

from spanflow.migrations.run import downgrade, upgrade
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.own_trackers import TABLES, Synchronous
from tests.support.poll import eventually
from tests.support.query import query, script, value

MODULE = "tests.support.own_trackers_gateway"
PLAIN = ["uvicorn", f"{MODULE}:app", "--port", "{port}"]
REPLACED = {
    "SPANFLOW_REPLACE_FLOW_TRACKER": f"{MODULE}.FlowTracker",
    "SPANFLOW_REPLACE_ACTIVITY_TRACKER": f"{MODULE}.ActivityTracker",
}
WHOSE = {"X-User-Id": "1"}


@pytest.fixture
def application(empty_postgres_dsn: str) -> Synchronous:
    script(empty_postgres_dsn, TABLES)
    return Synchronous(empty_postgres_dsn)


@contextmanager
def gateway(
    application: Synchronous, redis_url: str, folder: Path, *, traced: bool = True, more: Mapping[str, str] = {}
) -> Iterator[GatewayProcess]:
    folder.mkdir()
    environment = {"APPLICATION_DSN": application.dsn}
    if traced:
        environment |= {
            "SPANFLOW_ENABLED": "true",
            "SPANFLOW_REDIS_URL": redis_url,
            "SPANFLOW_POSTGRES_DSN": application.dsn,
            "SPANFLOW_SCHEMA": "spanflow",
            "SPANFLOW_DATA_DIR": str(folder / "data"),
            **more,
        }
    command = ["opentelemetry-instrument", *PLAIN] if traced else PLAIN
    with gateway_process(command, folder / "log", environment) as running:
        yield running
    assert "Traceback" not in running.said, running.said


def use(running: GatewayProcess, application: Synchronous) -> None:
    """Ask, call tools and chat, and find all of it where the application's own pages look."""
    with httpx.Client(base_url=running.url, headers=WHOSE, timeout=20) as client:
        first, last = client.post("/ask").text.split("\n\n")[:2]
        asked = UUID(json.loads(first.removeprefix("data: "))["session"])
        assert last == "data: done"
        called = uuid4()
        for _ in range(2):
            assert client.post(f"/mcp?session={called}").json() == {"jsonrpc": "2.0", "result": {}}
    turns = asyncio.run(chat(running, application))
    conversation = UUID(turns[0]["conversation"])

    def steps(session: object) -> list[str]:
        row = application.flow_of_session(str(session))
        return [] if row is None else [event["event_type"] for event in row[2]["events"]]

    ask_steps = ["auth_check", "usage_check", "llm_thinking", "tool_call", "llm_complete"]
    eventually(lambda: steps(asked) == ask_steps, within=15)
    eventually(lambda: steps(called) == ["tool_call", "tool_call"], within=15)
    turn_steps = ["auth_check", "llm_thinking", "llm_complete"]
    eventually(lambda: [steps(turn["session"]) for turn in turns] == [turn_steps] * 2, within=15)
    sources = {row[0]: row[4] for row in application.flows_of(1)}
    assert (sources[asked], sources[called]) == ("chat", "mcp_gateway")
    document = application.flow_of_session(str(asked))[2]
    assert [event.get("status") for event in document["events"][:2]] == ["passed", None]
    [summary] = [row for row in application.conversations(1) if row[0] == conversation]
    assert tuple(summary) == (conversation, 1, 6, 2, ["qa_mcp"], "one")
    assert [row[1] for row in application.activities(conversation)] == [1, 2, 3, 4, 5, 6]


async def chat(running: GatewayProcess, application: Synchronous) -> list[dict[str, Any]]:
    address = running.url.replace("http", "ws") + "/ws"
    turns = []
    async with connect(address, additional_headers=WHOSE) as socket:
        for number, message in enumerate(("one", "two"), 1):
            await socket.send(message)
            turns.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
            conversation = UUID(turns[0]["conversation"])
            for _ in range(300):  # the next number is counted from what is stored
                if await application.application.next_number(conversation) == 3 * number + 1:
                    break
                await asyncio.sleep(0.05)
    return turns


def test_it_moves_and_goes_back_without_a_broken_request(
    application: Synchronous, redis_url: str, tmp_path: Path
) -> None:
    with gateway(application, redis_url, tmp_path / "before", traced=False) as running:
        use(running, application)
    upgrade(application.dsn, "spanflow")
    assert value(application.dsn, "SELECT count(*) FROM spanflow.interaction_flows") == 4
    with gateway(application, redis_url, tmp_path / "own") as running:
        use(running, application)
    with (
        gateway(application, redis_url, tmp_path / "replaced", more=REPLACED) as running,
        gateway(application, redis_url, tmp_path / "old", traced=False) as other,
    ):
        use(running, application)
        use(other, application)  # two versions at once
        assert f"Replaced {MODULE}.FlowTracker with Spanflow's FlowTracker" in running.said
        assert f"Replaced {MODULE}.ActivityTracker with Spanflow's ActivityTracker" in running.said
    ours = query(
        application.dsn,
        "SELECT session_id FROM spanflow.interaction_flows WHERE checkpoint_count > 0 GROUP BY session_id",
    )
    assert len(ours) == len(application.flows_of(1)) == 16
    assert value(application.dsn, "SELECT count(*) FROM spanflow.poison_records") == 0
    downgrade(application.dsn, "spanflow")
    assert len(application.flows_of(1)) == 16
    with gateway(application, redis_url, tmp_path / "after", traced=False) as running:
        use(running, application)


def test_in_one_schema_it_goes_on_as_before_and_keeps_its_settings_when_converted(
    application: Synchronous, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match="belongs to an application"):
        upgrade(application.dsn, "omni2")
    with gateway(application, redis_url, tmp_path / "refused", traced=False) as running:
        use(running, application)
    upgrade(application.dsn, "omni2", adopt=True)
    # It starts, which needs its settings, and requests are recorded in our own tables.
    converted = {"SPANFLOW_SCHEMA": "omni2", **REPLACED}
    with gateway(application, redis_url, tmp_path / "converted", more=converted) as running:
        httpx.post(f"{running.url}/ask", headers=WHOSE, timeout=20).raise_for_status()
        count = "SELECT count(*) FROM omni2.interaction_flows WHERE checkpoint_count = 5 AND user_id = '1'"
        eventually(lambda: value(application.dsn, count) == 2, within=15)
    downgrade(application.dsn, "omni2")
    with gateway(application, redis_url, tmp_path / "back", traced=False) as running:
        use(running, application)
