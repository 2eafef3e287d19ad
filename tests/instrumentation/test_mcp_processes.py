"""One flow across a gateway and an MCP server, each a process of its own, over streamable HTTP."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.tree import flow_data
from tests.instrumentation.test_process_models import AUTO, environment
from tests.support.gateway_process import BIN, CHECKOUT, gateway_process
from tests.support.poll import eventually
from tests.support.query import query

Row = dict[str, Any]
Exchange = Callable[..., None]

SERVER = [AUTO, "python", "-m", "tests.instrumentation.programs.http_server", "{port}"]
GATEWAY = [AUTO, "uvicorn", "tests.instrumentation.gateways.calling:app", "--port", "{port}"]


@pytest.fixture
def exchange(redis_url: str, postgres_dsn: str, tmp_path: Path) -> Exchange:
    """Starts both, asks the gateway once, waits as long as it is told, and stops both."""
    settings = environment(
        redis_url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_dsn,
        SPANFLOW_DATA_DIR=str(tmp_path / "spool"),
    )

    def run(server_command: list[str], wait: Callable[[], object], programs: Path = BIN, **more: str) -> None:
        joining = {**settings, **more, "SPANFLOW_JOIN_CALLER": "true", "OTEL_SERVICE_NAME": "tools"}
        with gateway_process(server_command, tmp_path / "server", joining, programs=programs) as server:
            calling = {**settings, **more, "TOOLS_URL": f"{server.url}/mcp", "OTEL_SERVICE_NAME": "gateway"}
            with gateway_process(GATEWAY, tmp_path / "gateway", calling, programs=programs) as gateway:
                answer = httpx.get(f"{gateway.url}/ask", headers={"X-User-Id": "ann"}, timeout=20)
                assert answer.json() == {"answer": "apollo"}
                wait()

    return run


def stored(dsn: str) -> list[Row]:
    return query(dsn, "SELECT user_id, outcome, tools, flow_data FROM omni2.interaction_flows")


def outline(row: Row) -> list[str]:
    """The flow's spans, indented by depth, each with the service that recorded it."""
    document = json.loads(row["flow_data"])

    def service(process: str) -> str:
        return str(document["processes"][process]["resource"]["attributes"]["service.name"])

    return [
        "  " * node["depth"] + f"{node['name']} [{service(node['process'])}]"
        for node in flow_data.read(document).tree().rows()
        if "process" in node  # a parent that has not come has none
    ]


def test_a_call_over_http_is_one_flow_with_the_spans_of_both(exchange: Exchange, postgres_dsn: str) -> None:
    def both() -> bool:
        # The server may hand its spans over in several parts, and stores nothing more once it is stopped.
        lines = {line.strip() for row in stored(postgres_dsn) for line in outline(row)}
        return lines >= {"GET /ask [gateway]", "server/discover [tools]", "search [tools]", "tools/list [tools]"}

    exchange(SERVER, lambda: eventually(both, within=20), SPANFLOW_FLOW_GRACE="0.2")
    [row] = stored(postgres_dsn)
    assert (row["user_id"], row["outcome"], row["tools"]) == ("ann", "ok", ["look"])
    assert outline(row) == snapshot(
        [
            "GET /ask [gateway]",
            "  MCP send server/discover [gateway]",
            "    server/discover [tools]",
            "  tools/call look [gateway]",
            "    MCP send tools/call look [gateway]",
            "      tools/call look [tools]",
            "        search [tools]",
            "    MCP send tools/list [gateway]",
            "      tools/list [tools]",
        ]
    )


def test_a_server_in_our_middleware_leaves_nothing_behind_when_it_is_stopped(
    exchange: Exchange, postgres_dsn: str
) -> None:
    exchange([*SERVER, "in-middleware"], lambda: None)
    [row] = stored(postgres_dsn)
    assert [line.strip() for line in outline(row) if line.endswith("[tools]")] == snapshot(
        ["server/discover [tools]", "tools/call look [tools]", "search [tools]", "tools/list [tools]"]
    )


@pytest.fixture(scope="module")
def with_instrumentors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with both instrumentors that call themselves `mcp`, beside an SDK that has its
    own spans."""
    folder = tmp_path_factory.mktemp("instrumentors") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    packages = [
        "mcp==2.3.0",
        "fastapi",
        "uvicorn",
        "opentelemetry-instrumentation-mcp",
        "openinference-instrumentation-mcp",
    ]
    made = subprocess.run(
        [*uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages, "--editable", str(CHECKOUT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"the instrumentors cannot be installed here: {made.stderr[-300:]}")
    return folder / "bin"


@pytest.mark.long
def test_both_instrumentors_beside_the_sdks_own_spans_double_no_call(
    with_instrumentors: Path, exchange: Exchange, postgres_dsn: str
) -> None:
    exchange([*SERVER, "in-middleware"], lambda: None, with_instrumentors)
    [row] = stored(postgres_dsn)
    nodes = list(flow_data.read(json.loads(row["flow_data"])).tree().rows())
    assert [node["name"] for node in nodes if node["event_type"] == "tool_call"] == ["tools/call look"]
    assert outline(row) == snapshot(
        [
            "GET /ask [gateway]",
            "  MCP send server/discover [gateway]",
            "    server/discover [tools]",
            "  tools/call look [gateway]",
            "    MCP send tools/call look [gateway]",
            "      tools/call look [tools]",
            "        search [tools]",
            "    MCP send tools/list [gateway]",
            "      tools/list [tools]",
        ]
    )
