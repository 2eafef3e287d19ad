"""Trace context travels in `params._meta` of MCP messages; baggage does not, unless it is allowed by name."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import pytest
from dirty_equals import IsStr
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from opentelemetry import baggage, context

from spanflow.instrumentation import checkpoint
from spanflow.instrumentation.mcp_propagation import McpPropagation
from spanflow.instrumentation.runtime import Runtime
from tests.instrumentation.conftest import Recorded
from tests.support.checkout import ROOT

_PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def with_baggage() -> Iterator[None]:
    """The application has baggage of its own, for its own services."""
    token = context.attach(baggage.set_baggage("tenant", "a", baggage.set_baggage("user", "neo@example.com")))
    yield
    context.detach(token)


def meta_at_server() -> dict[str, Any]:
    """Call a real server of another process; what came in the message's `_meta`."""

    async def call() -> dict[str, Any]:
        server = StdioServerParameters(command=sys.executable, args=[str(_PROGRAMS / "meta_server.py")])
        async with Client(server) as client:
            with checkpoint("tool_call", tool="meta"):
                result = await client.call_tool("meta", {})
            (content,) = result.content
            assert isinstance(content, TextContent)
            meta: dict[str, Any] = json.loads(content.text)
            return {key: value for key, value in meta.items() if key in ("traceparent", "baggage")}

    return asyncio.run(call())


def test_a_server_gets_the_trace_context_and_no_baggage(with_baggage: None, recorded: Recorded) -> None:
    propagation = McpPropagation()
    propagation.install()
    meta = meta_at_server()
    propagation.remove()
    sent = recorded.only("MCP send tools/call meta").context
    assert sent is not None
    assert meta == {"traceparent": f"00-{sent.trace_id:032x}-{sent.span_id:016x}-{sent.trace_flags:02x}"}


def test_baggage_that_is_allowed_by_name_is_sent(with_baggage: None, recorded: Recorded) -> None:
    propagation = McpPropagation(allowed_baggage=("tenant",))
    propagation.install()
    meta = meta_at_server()
    propagation.remove()
    assert meta == {"traceparent": IsStr, "baggage": "tenant=a"}


def test_what_was_removed_leaves_the_sdk_as_it_was(with_baggage: None, recorded: Recorded) -> None:
    propagation = McpPropagation()
    propagation.install()
    propagation.remove()
    assert sorted(meta_at_server()["baggage"].split(",")) == ["tenant=a", "user=neo%40example.com"]


class OlderSession:
    """How a client of an SDK before 2 sends, and a server handles."""

    async def send_request(self, request: str) -> str:
        return f"sent {request}"

    async def _handle_request(self, message: object, req: object) -> str:
        raise ValueError("the tool's own error")


def test_our_own_faults_reach_no_call_of_any_sdk(
    with_baggage: None, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> NoReturn:
        raise RuntimeError("a fault of Spanflow's own")

    older = ModuleType("older")
    older.BaseSession = older.Server = type("Both", (OlderSession,), dict(vars(OlderSession)))  # type: ignore[attr-defined]
    propagation = McpPropagation()
    propagation.install()
    propagation._on_old_client(older)
    propagation._on_old_server(older)
    session: OlderSession = older.BaseSession()
    request = SimpleNamespace(method="tools/call", params=SimpleNamespace(name="look"))
    monkeypatch.setattr(Runtime, "clean_text", fault)
    with pytest.raises(ValueError, match="the tool's own error"):
        asyncio.run(session._handle_request(SimpleNamespace(request_id=1, request_meta=None), request))
    assert recorded.only("tools/call look").attributes["error.type"] == "ValueError"  # type: ignore[index]
    monkeypatch.setattr(McpPropagation, "_outbound", fault)
    monkeypatch.setattr(Runtime, "tracer", fault)
    with pytest.raises(ValueError, match="the tool's own error"):
        asyncio.run(session._handle_request(SimpleNamespace(request_id=1, request_meta=None), request))
    assert asyncio.run(session.send_request("ping")) == "sent ping"
    monkeypatch.undo()
    propagation.remove()


@pytest.fixture(scope="module")
def old_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with an MCP SDK before 2 and this checkout."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed, so no second environment can be made")
    folder = tmp_path_factory.mktemp("old-sdk") / "venv"
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    made = subprocess.run(
        [*uv, "pip", "install", "--python", str(python), "mcp>=1.20,<2", "--editable", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"an MCP SDK before 2 cannot be installed here: {made.stderr[-300:]}")
    return python


def run_old(python: Path, told: list[list[str]] | None = None, **environ: str) -> dict[str, Any]:
    """What the client's side says; `told` gets the spans of the server's."""
    done = subprocess.run(
        [str(python), str(_PROGRAMS / "old_mcp.py")],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if told is not None:
        told += json.loads(next(line for line in done.stderr.splitlines() if line.startswith("[[")))
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.long
def test_an_older_sdk_gives_one_trace_across_both_processes_where_callers_are_joined(old_sdk: Path) -> None:
    result = run_old(old_sdk, JOIN_CALLER="true")
    client, server = result["client"], result["server"]
    assert server["span"] == {
        "name": "tools/call look",
        "trace_id": client["trace_id"],
        "span_id": IsStr,
        "parent": client["span_id"],
    }
    assert server["meta"]["baggage"] == "tenant=a"


@pytest.mark.long
def test_an_older_sdk_starts_a_trace_of_its_own_where_callers_are_not_trusted(old_sdk: Path) -> None:
    result = run_old(old_sdk)
    assert result["server"]["span"]["name"] == "tools/call look"
    assert result["server"]["span"]["trace_id"] != result["client"]["trace_id"]


@pytest.mark.long
def test_a_tool_of_an_older_sdk_that_refuses_is_an_error(old_sdk: Path) -> None:
    told: list[list[str]] = []
    run_old(old_sdk, told=told, JOIN_CALLER="true")
    assert [status for name, status in told if name.startswith("tools/call")] == ["UNSET", "ERROR"]
