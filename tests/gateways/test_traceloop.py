"""A gateway with Traceloop's SDK: its workflows, tools and model calls, and whose they are, without code for us."""

from pathlib import Path

import httpx
import pytest
from inline_snapshot import snapshot

from tests.support.gateway_process import gateway_process
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.real_gateways import programs_of
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

APP = "tests.gateways.programs.traceloop_gateway:app"


def test_association_properties_and_the_calls_user_name_the_user(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with model_server() as provider:
        environment = {
            "PROVIDER": provider,
            "SPANFLOW_REDIS_URL": redis_url,
            "SPANFLOW_POSTGRES_DSN": postgres_dsn,
            "SPANFLOW_DATA_DIR": str(tmp_path / "data"),
            "SPANFLOW_FLOW_GRACE": "0.2",
            "TRACELOOP_TELEMETRY": "false",
        }
        words = ["spanflow", "run", "--", "uvicorn", APP, "--port", "{port}"]
        programs = programs_of("traceloop")
        with gateway_process(words, tmp_path / "log", environment, programs=programs, within=60) as gateway:
            for path in ("ask", "direct"):
                httpx.post(f"{gateway.url}/{path}", json={"text": "hello"}, timeout=60).raise_for_status()
            trees = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) == 2 else [], within=20)
    assert trees == snapshot(
        [
            [
                "POST /ask user_id=ann session_id=s-1 outcome=ok models=gpt-4o tools=look_up tokens_in=11 tokens_out=7",
                "  agent answer.workflow [ok]",
                "    tool_call look_up.tool [ok]",
                "    llm_thinking openai.chat [ok]",
            ],
            [
                "POST /direct user_id=ben outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking openai.chat [ok]",
            ],
        ]
    )
