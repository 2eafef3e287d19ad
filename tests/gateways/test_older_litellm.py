"""The last LiteLLM that pins OpenTelemetry 1.28.0 with 0.49b0, started as people start it."""

from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.gateways.test_litellm import Told
from tests.support.gateway_process import GatewayProcess
from tests.support.litellm_proxy import OPENINFERENCE, TOOL, chat, litellm_proxy
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

RELEASE = "litellm-1.102"
CONVERSATION: tuple[dict[str, Any], ...] = (
    {"text": "hello"},
    {"text": "hello", "stream": True},
    {"text": "use a tool", "tools": [TOOL]},
    {"text": "fail"},
    {"text": "hello", "key": "sk-wrong"},
)


def hold(gateway: GatewayProcess) -> list[Told]:
    return [Told.by(chat(gateway, **asked)) for asked in CONVERSATION]


def test_it_answers_as_without_us_and_its_flows_are_trees(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    servers = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}
    same: dict[str, Any] = {"release": RELEASE}
    with model_server() as provider:
        with litellm_proxy(tmp_path / "bare", OPENINFERENCE, provider=provider, command=(), **same) as gateway:
            bare = hold(gateway)
        with litellm_proxy(tmp_path / "traced", OPENINFERENCE, servers, provider=provider, **same) as gateway:
            assert hold(gateway) == bare
            trees = eventually(
                lambda: [*found] if len(found := stored_trees(postgres_dsn)) >= len(CONVERSATION) else [], within=90
            )
    assert [told.status for told in bare] == [200, 200, 200, 500, 500]
    assert trees == snapshot(
        [
            [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            [
                "POST /v1/chat/completions outcome=error outcome_reason=server_error models=openai/gpt-4o",
                "  llm_thinking acompletion [error]",
            ],
            ["POST /v1/chat/completions outcome=error outcome_reason=server_error"],
        ]
    )
