"""The example of a gateway in another language, with a real viewer."""

import os
import shutil
import subprocess

import pytest

from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import make_viewer, viewer

__all__ = ["make_viewer", "viewer"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_turn_of_a_node_gateway_is_a_flow(viewer: RunningViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {**os.environ, "VIEWER_URL": viewer.origin, "VIEWER_INGEST_TOKEN": TOKEN}
    done = subprocess.run(
        ["node", ROOT / "examples" / "other_languages" / "gateway.mjs"], capture_output=True, text=True, env=environ
    )
    assert done.returncode == 0, done.stderr
    flow_id = done.stdout.strip()

    def steps() -> list[tuple[str, str]]:
        answer = viewer.http.get(f"/api/v1/flows/{flow_id}/flat")
        return [(one["name"], one["event_type"]) for one in answer.json()["spans"]] if answer.is_success else []

    eventually(lambda: len(steps()) == 4, within=20)
    assert steps() == [
        ("POST /chat", "span"),
        ("auth_check", "auth_check"),
        ("chat small", "llm_thinking"),
        ("execute_tool search", "tool_call"),
    ]
    shown = viewer.get(f"/api/v1/flows/{flow_id}/flat")
    assert (shown["user_id"], shown["spans"][0]["below"]["tokens_input"]) == (7, 120)
