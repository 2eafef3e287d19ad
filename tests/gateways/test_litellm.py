"""What is recorded of LiteLLM's proxy, in each way to start it, and that it answers as it does without us."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from tests.support.gateway_process import GatewayProcess
from tests.support.litellm_proxy import (
    ANN,
    AS_INSTALLED,
    BEN,
    BLOCKED,
    FIRST_CALLBACK,
    OPENINFERENCE,
    SECOND_CALLBACK,
    SECRET,
    TOOL,
    Callback,
    chat,
    litellm_proxy,
)
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

#: By name, in this order.
CONVERSATION: dict[str, dict[str, Any]] = {
    "answered": {"text": "hello", "litellm_session_id": "s-1"},
    "streamed": {"text": "hello", "stream": True},
    "asks for a tool": {"text": "use a tool", "tools": [TOOL]},
    "streams a tool's call": {"text": "use a tool", "tools": [TOOL], "stream": True},
    "for an end user": {"text": "hello", "user": "end-user-7"},
    "the model fails": {"text": "fail"},
    "the model fails when it should stream": {"text": "fail", "stream": True},
    "the model is busy": {"text": "busy"},
    "no such model": {"text": "hello", "model": "gpt-0"},
    "a guardrail refuses": {"text": "about explosives"},
    "without a key": {"text": "hello", "key": None},
    "with a wrong key": {"text": "hello", "key": "sk-wrong"},
    "with a blocked key": {"text": "hello", "key": BLOCKED},
    "more than the key may ask": {"text": "hello", "key": BEN},
}
STATUSES = {
    "answered": 200,
    "streamed": 200,
    "asks for a tool": 200,
    "streams a tool's call": 200,
    "for an end user": 200,
    "the model fails": 500,
    "the model fails when it should stream": 500,
    "the model is busy": 429,
    "no such model": 400,
    "a guardrail refuses": 400,
    "without a key": 401,
    "with a wrong key": 401,
    "with a blocked key": 403,
    "more than the key may ask": 429,
}
#: What differs from one request to the next: ids, dates and durations.
_VARIES = re.compile(
    rb"(?i)^(?:date|llm_provider-date|retry-after|reset_at|traceresponse|x-litellm-call-id|x-litellm-.*-duration-ms)$"
)
_VARIES_INSIDE = re.compile(rb'(?<="created":)\d+|(?<=Limit resets at: )[^"]+')


@dataclass(frozen=True)
class Told:
    """An answer byte for byte, but for what differs every time."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def by(cls, answer: httpx.Response) -> "Told":
        headers = [(name, b"*" if _VARIES.match(name) else value) for name, value in answer.headers.raw]
        return cls(answer.status_code, headers, _VARIES_INSIDE.sub(b"*", answer.content))


def hold(gateway: GatewayProcess) -> dict[str, Told]:
    return {name: Told.by(chat(gateway, **asked)) for name, asked in CONVERSATION.items()}


def conversation(folder: Path, redis_url: str, postgres_dsn: str, callback: Callback) -> dict[str, list[str]]:
    """The tree of each request. Its answers must be the same as without us, and what was said must be nowhere."""
    servers = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}
    with model_server() as provider:
        with litellm_proxy(folder / "bare", callback, provider=provider, command=()) as gateway:
            bare = hold(gateway)
        with litellm_proxy(folder / "traced", callback, servers, provider=provider) as gateway:
            assert hold(gateway) == bare
            trees = eventually(
                lambda: [*found] if len(found := stored_trees(postgres_dsn)) >= len(CONVERSATION) else [], within=90
            )
    assert {name: told.status for name, told in bare.items()} == STATUSES
    statement = "SELECT count(*) FROM omni2.interaction_flows WHERE flow_data::text LIKE ANY($1)"
    secrets = [f"%{secret}%" for secret in (SECRET, ANN, BEN, BLOCKED)]
    assert query(postgres_dsn, statement, secrets)[0]["count"] == 0
    assert len(trees) == len(CONVERSATION)
    return dict(zip(CONVERSATION, trees, strict=True))


def test_as_it_is_installed_a_flow_is_one_span_with_its_true_outcome(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    assert conversation(tmp_path, redis_url, postgres_dsn, AS_INSTALLED) == snapshot(
        {
            "answered": ["POST /v1/chat/completions outcome=ok"],
            "streamed": ["POST /v1/chat/completions outcome=ok"],
            "asks for a tool": ["POST /v1/chat/completions outcome=ok"],
            "streams a tool's call": ["POST /v1/chat/completions outcome=ok"],
            "for an end user": ["POST /v1/chat/completions outcome=ok"],
            "the model fails": ["POST /v1/chat/completions outcome=error outcome_reason=server_error"],
            "the model fails when it should stream": [
                "POST /v1/chat/completions outcome=error outcome_reason=server_error"
            ],
            "the model is busy": ["POST /v1/chat/completions outcome=denied outcome_reason=rate_limited"],
            "no such model": ["POST /v1/chat/completions outcome=error outcome_reason=caller_error"],
            "a guardrail refuses": ["POST /v1/chat/completions outcome=error outcome_reason=caller_error"],
            "without a key": ["POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated"],
            "with a wrong key": ["POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated"],
            "with a blocked key": ["POST /v1/chat/completions outcome=denied outcome_reason=forbidden"],
            "more than the key may ask": ["POST /v1/chat/completions outcome=denied outcome_reason=rate_limited"],
        }
    )


def test_with_openinference_model_and_tokens_are_known(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    assert conversation(tmp_path, redis_url, postgres_dsn, OPENINFERENCE) == snapshot(
        {
            "answered": [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            "streamed": [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            "asks for a tool": [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            "streams a tool's call": [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            "for an end user": [
                "POST /v1/chat/completions outcome=ok models=openai/gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking acompletion [ok]",
            ],
            "the model fails": [
                "POST /v1/chat/completions outcome=error outcome_reason=server_error models=openai/gpt-4o",
                "  llm_thinking acompletion [error]",
            ],
            "the model fails when it should stream": [
                "POST /v1/chat/completions outcome=error outcome_reason=server_error models=openai/gpt-4o",
                "  llm_thinking acompletion [error]",
            ],
            "the model is busy": [
                "POST /v1/chat/completions outcome=error outcome_reason=rate_limited models=openai/gpt-4o",
                "  llm_thinking acompletion [error]",
            ],
            "no such model": ["POST /v1/chat/completions outcome=error outcome_reason=caller_error"],
            "a guardrail refuses": ["POST /v1/chat/completions outcome=error outcome_reason=caller_error"],
            "without a key": ["POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated"],
            "with a wrong key": ["POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated"],
            "with a blocked key": ["POST /v1/chat/completions outcome=denied outcome_reason=forbidden"],
            "more than the key may ask": ["POST /v1/chat/completions outcome=denied outcome_reason=rate_limited"],
        }
    )


def test_with_its_own_callback_the_owner_of_the_key_is_known_as_well(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    assert conversation(tmp_path, redis_url, postgres_dsn, FIRST_CALLBACK) == snapshot(
        {
            "answered": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [ok]",
            ],
            "streamed": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking litellm_request [ok]",
                "    security_check guardrail [ok]",
            ],
            "asks for a tool": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [ok]",
            ],
            "streams a tool's call": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  llm_thinking litellm_request [ok]",
                "    security_check guardrail [ok]",
            ],
            "for an end user": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [ok]",
            ],
            "the model fails": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [error]",
            ],
            "the model fails when it should stream": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [error]",
            ],
            "the model is busy": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=rate_limited models=gpt-4o",
                "    security_check guardrail [ok]",
                "  llm_thinking litellm_request [error]",
            ],
            "no such model": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=caller_error models=gpt-0",
                "  llm_thinking litellm_request [error]",
                "    security_check guardrail [ok]",
            ],
            "a guardrail refuses": [
                "POST /v1/chat/completions user_id=ann outcome=denied outcome_reason=caller_error gate=security_check "
                "reason=no-explosives models=gpt-4o",
                "  llm_thinking litellm_request [error]",
                "    security_check guardrail [denied]",
            ],
            "without a key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated models=gpt-4o",
                "  llm_thinking litellm_request [error]",
            ],
            "with a wrong key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated models=gpt-4o",
                "  llm_thinking litellm_request [error]",
            ],
            "with a blocked key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=forbidden models=gpt-4o",
                "  llm_thinking litellm_request [error]",
            ],
            "more than the key may ask": [
                "POST /v1/chat/completions user_id=ben outcome=error outcome_reason=rate_limited models=gpt-4o",
                "  llm_thinking litellm_request [error]",
                "    security_check guardrail [ok]",
            ],
        }
    )


def test_with_its_second_callback_spans_of_its_own_provider_are_there(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    assert conversation(tmp_path, redis_url, postgres_dsn, SECOND_CALLBACK) == snapshot(
        {
            "answered": [
                "POST /v1/chat/completions user_id=ann conversation_id=s-1 outcome=ok models=gpt-4o"
                " tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            ],
            "streamed": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            ],
            "asks for a tool": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            ],
            "streams a tool's call": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            ],
            "for an end user": [
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            ],
            "the model fails": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [error]",
            ],
            "the model fails when it should stream": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [error]",
            ],
            "the model is busy": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=rate_limited models=gpt-4o",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [error]",
            ],
            "no such model": [
                "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=caller_error models=gpt-0",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
            ],
            "a guardrail refuses": [
                "POST /v1/chat/completions user_id=ann outcome=denied outcome_reason=caller_error gate=security_check"
                " reason=no-explosives models=gpt-4o",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [denied]",
            ],
            "without a key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated gate=auth_check"
                " reason=ProxyException: Authentication Error, this key is unknown models=gpt-4o",
                "  auth_check auth /v1/chat/completions [error]",
            ],
            "with a wrong key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=unauthenticated gate=auth_check"
                " reason=ProxyException: Authentication Error, this key is unknown models=gpt-4o",
                "  auth_check auth /v1/chat/completions [error]",
            ],
            "with a blocked key": [
                "POST /v1/chat/completions outcome=denied outcome_reason=forbidden gate=auth_check"
                " reason=ProxyException: this key is blocked models=gpt-4o",
                "  auth_check auth /v1/chat/completions [error]",
            ],
            "more than the key may ask": [
                "POST /v1/chat/completions user_id=ben outcome=denied outcome_reason=rate_limited models=gpt-4o",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
            ],
        }
    )
