"""`spanflow mcp` attacked by an agent with the lowest role, and by clients without a token."""

import asyncio
import os
import signal
import socket
from functools import partial
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.cli.test_mcp_server import SLOW, listens, over_stdio, text_of
from tests.cli.test_mcp_server import viewer as viewer  # the fixture
from tests.support.people import VIEWER_8
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.query import query
from tests.support.spanflow_command import running
from tests.support.viewer_server import TOKEN, RunningViewer

HOSTILE = (
    *(
        "..",
        ".",
        "../../session",
        "../7",
        f"{SLOW}/export",
        f"{SLOW}?user_id=7",
        f"{SLOW}#x",
        "%2e%2e%2fsession",
        "%00",
    ),
    *("\r\nX-Spanflow-Reason: forged\r\n\r\n", "' OR 1=1 --", "<script>", "", " ", "é\u202e", "x" * 100_000),
)
BUDGET = 12_000


def calls(word: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("find_people", {"text": word}),
        ("what_is_running", {"user_id": word}),
        ("find_flows", {"user_id": word}),
        ("find_flows", {"text": word}),
        ("outline", {"flow_id": word}),
        ("outline", {"flow_id": word, "depth": 10**9, "under": word}),
        ("span_details", {"flow_id": word, "span_ids": [word] * 5}),
        ("where_does_time_go", {"flow_id": word}),
        ("compare_flows", {"first": word, "second": SLOW}),
        ("compare_flows", {"flow_id": word, "with_flow_id": SLOW}),
        ("compare_with_usual", {"flow_id": word}),
        ("explain_denial", {"flow_id": word}),
        ("erase_user", {"user_id": word}),
    ]


def test_no_argument_opens_more_than_the_token_does(viewer: RunningViewer, postgres_dsn: str) -> None:
    """Nothing of another user is answered, nothing but questions is asked, and the server goes on."""

    async def use(client: Client) -> None:
        for word in HOSTILE:
            for tool, arguments in calls(word):
                try:
                    text = text_of(await client.call_tool(tool, arguments))
                except Exception as why:  # the protocol's own refusal, such as of an unknown tool
                    text = str(why)
                assert len(text) <= BUDGET + 2_000, (tool, word[:40])
                assert "ada@example.org" not in text and "Traceback" not in text, (tool, word[:40], text)
        people = text_of(await client.call_tool("find_people", {"text": "zzz"}))
        assert "no user matches" in people

    over_stdio(viewer, use, token=VIEWER_8.token)
    rows = query(postgres_dsn, "SELECT actor, action, reason, outcome, target_user FROM omni2.audit_log")
    assert {row["actor"] for row in rows} == {VIEWER_8.name}
    assert "7" not in {row["target_user"] for row in rows if row["outcome"] != "denied"}
    assert all(row["reason"] is None or row["reason"].startswith("agent: ") for row in rows)
    changing = {"user_erased", "user_erasure_begun", "monitoring_enabled", "monitoring_disabled"}
    assert changing.isdisjoint(row["action"] for row in rows)


def test_over_http_nobody_gets_in_by_another_way(viewer: RunningViewer) -> None:
    port = free_port()
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    address = f"http://127.0.0.1:{port}/mcp"

    async def refused(headers: dict[str, str]) -> str:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            return text_of(await client.call_tool("find_people", {"text": "ada"}))

    def raw(host: str, path: str = "/mcp", length: int = 2, body: bytes = b"{}") -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            head += "Accept: application/json, text/event-stream\r\nConnection: close\r\n"
            connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
            return connection.recv(65536)

    with running("mcp", "--http", "--port", str(port), settings={**os.environ, **there}) as server:
        server.wait_for("Serving MCP at")
        eventually(partial(listens, port), within=60)
        for headers in (
            {},
            {"Authorization": "Basic YTpi"},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer wrong"},
            {"Cookie": f"spanflow_session={TOKEN}"},
            {"X-Forwarded-User": "admin"},
        ):
            assert "ada@example.org" not in asyncio.run(refused(headers)), headers
        # A page of another domain that leads here (DNS rebinding), and another way to the same server.
        assert raw("evil.example").startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 421 "))
        assert raw(f"127.0.0.1:{port}", "/mcp/../api/v1/users").startswith(b"HTTP/1.1 404 ")
        # A body without end is not waited for with all that it may become.
        assert not raw(f"127.0.0.1:{port}", length=10**12, body=b"x" * 100_000).startswith(b"HTTP/1.1 200 ")
        server.end(signal.SIGTERM)
