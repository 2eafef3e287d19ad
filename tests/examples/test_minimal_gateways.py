"""Each minimal example, started by `spanflow run` as its first line says, is seen as flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.tree import flow_data
from tests.support.gateway_process import CHECKOUT, GatewayProcess, gateway_process
from tests.support.poll import eventually
from tests.support.query import query

FOLDER = CHECKOUT / "examples" / "minimal"
MCP_CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "get_job_status", "arguments": {"job_id": "7"}},
}
MCP_HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18", "X-User-Id": "7"}


@pytest.fixture
def environment(redis_url: str, postgres_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_DATA_DIR": str(tmp_path / "data"),
        "SPANFLOW_FLOW_GRACE": "0.2",
    }


@contextmanager
def running(example: str, environment: dict[str, str], tmp_path: Path) -> Iterator[GatewayProcess]:
    """As the example's own first lines say, on a free port."""
    words = (FOLDER / f"{example}.py").read_text(encoding="utf-8").split("`")[1].split()
    assert words == ["spanflow", "run", "--", "uvicorn", "--app-dir", "examples/minimal", f"{example}:app"]
    with gateway_process([*words, "--port", "{port}"], tmp_path / "log", environment) as gateway:
        yield gateway


def flows(dsn: str, count: int) -> list[tuple[Any, ...]]:
    """User, outcome and checkpoints of so many flows, in the order they began."""

    def arrived() -> list[dict[str, Any]]:
        rows = query(dsn, "SELECT * FROM omni2.interaction_flows WHERE checkpoint_count > 0 ORDER BY started_at")
        assert len(rows) >= count, rows
        return rows

    return [(row["user_id"], row["outcome"], row["reason"], steps(row)) for row in eventually(arrived, within=30)]


def steps(row: dict[str, Any]) -> list[tuple[str, str]]:
    entries = flow_data.entries_in(orjson.loads(row["flow_data"]))
    return [(entry["event_type"], entry["outcome"]) for entry in entries if entry["event_type"] != "span"]


def test_the_gateway_of_twenty_lines(environment: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    code = (FOLDER / "fastapi_gateway.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in code if line]) <= 20
    with running("fastapi_gateway", environment, tmp_path) as gateway, httpx.Client(base_url=gateway.url) as client:
        answer = client.post("/chat", json={"message": "hello there"}, headers={"Authorization": "Bearer 7"})
        assert answer.json() == {"answer": "HELLO THERE"}
        assert client.post("/chat", json={"message": "hello"}).status_code == 401
        assert flows(postgres_dsn, 2) == snapshot(
            [
                ("7", "ok", None, [("auth_check", "ok"), ("llm_thinking", "ok")]),
                (None, "denied", "no token", [("auth_check", "denied")]),
            ]
        )


def test_the_mcp_server(environment: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    with running("mcp_server", environment, tmp_path) as gateway, httpx.Client(base_url=gateway.url) as client:
        answer = client.post("/mcp", json=MCP_CALL, headers=MCP_HEADERS).json()
        assert answer["result"]["content"] == [{"type": "text", "text": "running at 40 %"}]
        assert flows(postgres_dsn, 1) == snapshot([("7", "ok", None, [("tool_call", "ok"), ("job_lookup", "ok")])])


def test_the_proxy_of_models(environment: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello there"}]}

    with running("llm_proxy", environment, tmp_path) as gateway, httpx.Client(base_url=gateway.url) as client:

        def ask(key: str, **more: Any) -> httpx.Response:
            return client.post("/v1/chat/completions", json=body | more, headers={"Authorization": f"Bearer {key}"})

        assert ask("sk-ada").json()["choices"][0]["message"]["content"] == "HELLO THERE"
        assert ask("sk-ada", stream=True).text.endswith("data: [DONE]\n\n")
        assert ask("sk-ben").status_code == 429
        assert ask("sk-nobody").status_code == 401
        assert flows(postgres_dsn, 4) == snapshot(
            [
                (
                    "ada",
                    "ok",
                    None,
                    [("auth_check", "ok"), ("usage_check", "ok"), ("llm_thinking", "error"), ("llm_thinking", "ok")],
                ),
                (
                    "ada",
                    "ok",
                    None,
                    [("auth_check", "ok"), ("usage_check", "ok"), ("llm_thinking", "error"), ("llm_thinking", "ok")],
                ),
                ("ben", "denied", "budget used up", [("auth_check", "ok"), ("usage_check", "denied")]),
                (None, "denied", "unknown key", [("auth_check", "denied")]),
            ]
        )
