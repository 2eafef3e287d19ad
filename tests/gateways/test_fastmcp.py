"""FastMCP's server as people start it, `fastmcp run`, with its own client."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from tests.support.gateway_process import GatewayProcess
from tests.support.mcp_gateways import UNDER_US, McpClient, fastmcp_server, settings_of
from tests.support.poll import eventually
from tests.support.running_steps import states_of_running_steps
from tests.support.stored_trees import stored_trees
from tests.support.viewer_server import running_viewer

pytestmark = pytest.mark.long

ANN = {"X-User-Id": "ann", "X-Session-Id": "s-1"}
CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("tools/call", "add", {"a": 1, "b": 2}),
    ("tools/call", "refuse", {}),
    ("tools/call", "reset", {}),
    ("prompts/get", "greet", {"name": "Ben"}),
    ("resources/read", "data://rates", {}),
)
TOLD = [["3", False], ["not today", True], ["only administrators reset", True], "Greet Ben", "1"]


def with_steps(postgres_dsn: str, count: int) -> list[list[str]]:
    """So many flows; those of handshakes and lists have no step."""

    def found() -> list[list[str]]:
        return [tree for tree in stored_trees(postgres_dsn) if len(tree) > 1]

    eventually(lambda: len(found()) >= count, within=20)
    return found()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_users_tools_prompts_resources_and_refusals_need_no_code(
    mode: str, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """Of clients that speak today's protocol, and of those with sessions and a handshake."""
    with fastmcp_server(tmp_path, settings_of(tmp_path, redis_url, postgres_dsn)) as server:
        assert McpClient(tmp_path, f"{server.url}/mcp", ANN, *CALLS, mode=mode).told() == TOLD
        assert with_steps(postgres_dsn, len(CALLS)) == snapshot(
            [
                ["tools/call add user_id=ann session_id=s-1 outcome=ok tools=add", "  tool_call tools/call add [ok]"],
                [
                    "tools/call refuse user_id=ann session_id=s-1 outcome=error tools=refuse",
                    "  tool_call tools/call refuse [error]",
                ],
                [
                    "tools/call reset user_id=ann session_id=s-1 outcome=denied gate=tool_call "
                    "reason=only administrators reset tools=reset",
                    "  tool_call tools/call reset [denied]",
                ],
                ["prompts/get greet user_id=ann session_id=s-1 outcome=ok", "  prompt_get prompts/get greet [ok]"],
                ["resources/read user_id=ann session_id=s-1 outcome=ok", "  resource_read resources/read [ok]"],
            ]
        )


def test_a_question_to_the_person_is_a_running_step_until_the_answer(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with (
        fastmcp_server(tmp_path, settings_of(tmp_path, redis_url, postgres_dsn)) as server,
        running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer,
    ):
        client = McpClient(tmp_path, f"{server.url}/mcp", ANN, ("tools/call", "book", {}), mode="legacy")
        waiting = eventually(lambda: states_of_running_steps(viewer, "elicitation"), within=30)
        assert waiting == snapshot({"tool_call": "running", "elicitation": "running"})
        client.answer_now.touch()
        assert client.told() == [["booked for Monday", False]]
        assert with_steps(postgres_dsn, 1) == snapshot(
            [
                [
                    "tools/call book user_id=ann session_id=s-1 outcome=ok tools=book",
                    "  tool_call tools/call book [ok]",
                    "    elicitation MCP send elicitation/create [ok]",
                ]
            ]
        )


def test_it_answers_the_same_as_without_us(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    with fastmcp_server(tmp_path, {"HOME": str(tmp_path)}, ()) as server:
        bare = told_byte_for_byte(server)
    with fastmcp_server(tmp_path, settings_of(tmp_path, redis_url, postgres_dsn), UNDER_US) as server:
        assert told_byte_for_byte(server) == bare
    assert [status for status, *_ in bare] == snapshot([200, 202, 200, 200, 200, 200, 200, 200, 400, 404, 200, 404])


def told_byte_for_byte(server: GatewayProcess) -> list[tuple[int, list[tuple[bytes, bytes]], bytes]]:
    """Without what differs every time: ids of sessions and dates."""
    me = {"name": "a client", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": me}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        client.headers.update({"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"})

        def rpc(number: int, method: str, **params: Any) -> httpx.Response:
            return client.post("/mcp", json={"jsonrpc": "2.0", "id": number, "method": method, "params": params})

        opened = rpc(1, "initialize", **hello)
        client.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
        answers = [
            opened,
            client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}),
            rpc(2, "tools/call", name="add", arguments={"a": 1, "b": 2}),
            rpc(3, "tools/call", name="refuse", arguments={}),
            rpc(8, "tools/call", name="reset", arguments={}),
            rpc(4, "tools/call", name="no such tool", arguments={}),
            rpc(5, "no/such/method"),
            rpc(6, "prompts/get", name="greet", arguments={"name": "Ben"}),
            client.post("/mcp", content=b"no JSON"),
            client.get("/elsewhere"),
            client.delete("/mcp"),
            rpc(7, "tools/call", name="add", arguments={"a": 1, "b": 2}),
        ]
    varies = re.compile(rb"(?i)date|mcp-session-id")
    return [
        (
            answer.status_code,
            [(name, b"*" if varies.fullmatch(name) else value) for name, value in answer.headers.raw],
            re.sub(rb"(?m)^id: .*$", b"id: *", answer.content),
        )
        for answer in answers
    ]
