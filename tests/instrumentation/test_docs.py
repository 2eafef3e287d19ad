"""The Python in our pages runs."""

import asyncio
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

from tests.instrumentation.conftest import Recorded
from tests.support.checkout import ROOT


class Tools:
    async def call(self, tool: str) -> list[str]:
        return [tool]


class Model:
    async def stream(self, prompt: str) -> AsyncIterator[str]:
        yield prompt


class Directory:
    async def user_of(self, token: str) -> Any:
        return SimpleNamespace(id=7, email="ann@example.com")


def page(name: str) -> dict[str, Any]:
    """All Python of a page, run in order."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    names: dict[str, Any] = {
        "tools": Tools(),
        "model": Model(),
        "directory": Directory(),
        "token_session": lambda token: "s-1",
        "__name__": name,
    }
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names


def test_checkpoints(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    names = page("checkpoints.md")

    async def everything() -> None:
        await names["check_usage"]("ann")
        assert [token async for token in names["answer"]("hello")] == ["hello"]
        assert [token async for token in names["answer_too"]("hello")] == ["hello"]
        await names["on_message"]("hello")

    asyncio.run(everything())
    job: dict[str, Any] = {}
    names["on_request"](job)
    names["on_reply"](job)
    assert len(capsys.readouterr().out.strip()) == 32
    assert recorded.outline() == [
        "usage_check [ok]",
        "  usage_check [ok]",
        "chat gpt-5 [ok]",
        "chat gpt-5 [ok]",
        "chat turn [ok]",
        "  tools/call list_snapshots [ok]",
        "tools/call export [ok]",
    ]


def test_a_refusal(recorded: Recorded) -> None:
    names = page("checkpoints.md")

    async def too_much(user: str) -> bool:
        return False

    names["within_budget"] = too_much
    with pytest.raises(HTTPException):
        asyncio.run(names["check_usage"]("ann"))
    assert recorded.outline() == ["usage_check [denied]"]


def test_identity_and_start(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANFLOW_ENABLED", "false")
    names = page("identity.md")
    asyncio.run(names["authenticate"]("token"))
    assert names["from_session_cookie"]({"session": {"user": 7}}) == {"user_id": 7}
    assert names["from_session_cookie"]({}) is None
    assert page("tracing-a-gateway.md")["app"]
