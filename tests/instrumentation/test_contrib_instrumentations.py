"""A gateway whose steps are only what other people's instrumentations see: httpx, redis, openai, asyncpg."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors import names
from spanflow.span_processors.tree import flow_data
from tests.instrumentation.test_process_models import AUTO, ask, environment
from tests.support.gateway_process import CHECKOUT, gateway_process
from tests.support.mirrored import flows_of
from tests.support.poll import eventually
from tests.support.query import query

pytestmark = pytest.mark.long

PACKAGES = [
    "fastapi",
    "uvicorn",
    "httpx",
    "openai<3",
    "opentelemetry-instrumentation-httpx>=0.66b0",
    "opentelemetry-instrumentation-redis>=0.66b0",
    "opentelemetry-instrumentation-openai-v2>=2.0b0",
    # openai-v2 2.4b0 imports a module that 1.x no longer has.
    "opentelemetry-util-genai<1",
]


#: It is not released for the newest SDK, so that everything beside it is one release older as well.
WITH_ASYNCPG = ["fastapi", "uvicorn", "opentelemetry-instrumentation-asyncpg>=0.66b0"]


def programs_of(folder: Path, packages: list[str]) -> Path:
    """The programs of a new environment with these packages and this checkout."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    made = subprocess.run(
        [*uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages, "--editable", str(CHECKOUT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"the instrumentations cannot be installed here: {made.stderr[-300:]}")
    return folder / "bin"


@pytest.fixture(scope="module")
def with_instrumentations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has those of httpx, redis and openai."""
    return programs_of(tmp_path_factory.mktemp("instrumentations") / "venv", PACKAGES)


@pytest.fixture(scope="module")
def with_asyncpg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has asyncpg's."""
    return programs_of(tmp_path_factory.mktemp("asyncpg") / "venv", WITH_ASYNCPG)


def tree(events: list[dict[str, Any]]) -> list[str]:
    """The flow as indented lines: name and type."""
    starts = sorted((event for event in events if event["phase"] == names.START), key=lambda event: event["start_ns"])
    lines: list[str] = []

    def walk(parent: str | None, depth: int) -> None:
        for event in starts:
            if event.get("parent_id") == parent:
                lines.append(f"{'  ' * depth}{event['name']} ({event['event_type']})")
                walk(event["node_id"], depth + 1)

    walk(None, 0)
    return lines


def test_their_spans_are_the_flow(with_instrumentations: Path, redis_url: str, tmp_path: Path) -> None:
    command = [AUTO, "uvicorn", "tests.instrumentation.gateways.instrumented:app", "--port", "{port}"]
    settings = environment(redis_url)
    with gateway_process(command, tmp_path / "log", settings, programs=with_instrumentations) as gateway:
        ask(gateway)
        flows = eventually(lambda: finished(redis_url))
    (events,) = flows
    assert tree(events) == snapshot(
        [
            "GET /ask (span)",
            "  GET (span)",
            "  GET (span)",
            "  chat gpt-5 (llm_thinking)",
            "    POST (span)",
        ]
    )
    assert "secret question" not in str(events)


def finished(redis_url: str) -> list[list[dict[str, Any]]]:
    """The user's flows once the server span has ended. Our own writes to Redis are in none of them."""
    flows = list(flows_of(redis_url, "ann").values())
    ended = [sum(event["phase"] == names.END for event in events) for events in flows]
    return flows if ended == [5] else []


def test_queries_are_steps_and_our_own_writing_is_none(
    with_asyncpg: Path, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    command = [AUTO, "uvicorn", "tests.instrumentation.gateways.querying:app", "--port", "{port}"]
    settings = environment(
        redis_url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_dsn,
        SPANFLOW_DATA_DIR=str(tmp_path / "spool"),
    )
    with gateway_process(command, tmp_path / "log", settings, programs=with_asyncpg) as gateway:
        ask(gateway)
        said = gateway.said
    assert "Traceback" not in said
    [row] = query(postgres_dsn, "SELECT user_id, flow_data FROM omni2.interaction_flows")
    nodes = list(flow_data.read(json.loads(row["flow_data"])).tree().rows())
    assert [f"{'  ' * node['depth']}{node['name']} ({node['event_type']})" for node in nodes] == snapshot(
        ["GET /ask (span)", "  SELECT (span)", "  SELECT (span)"]
    )
    assert row["user_id"] == "ann"
    assert "hunter2" not in row["flow_data"]
