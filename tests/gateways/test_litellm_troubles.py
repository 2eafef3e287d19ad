"""LiteLLM's proxy with several workers, with a model that hangs, and with clients that leave."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from inline_snapshot import snapshot

from tests.support.gateway_process import GatewayProcess
from tests.support.litellm_proxy import (
    ANN,
    FIRST_CALLBACK,
    SECOND_CALLBACK,
    Callback,
    asking,
    chat,
    litellm_proxy,
)
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.running_steps import states_of_running_steps
from tests.support.stored_trees import stored_trees
from tests.support.viewer_server import running_viewer

pytestmark = pytest.mark.long


def servers(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}


def trees(postgres_dsn: str, count: int, within: float = 30) -> list[list[str]]:
    found = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) >= count else [], within=within)
    assert len(found) == count
    return found


# uvicorn ends workers that are not there after 5 seconds, which importing LiteLLM alone may take.
@pytest.mark.parametrize(
    "server", [("--timeout_worker_healthcheck", "60"), ("--run_gunicorn",)], ids=["uvicorn", "gunicorn"]
)
def test_several_workers_lose_and_duplicate_nothing(
    server: tuple[str, ...], redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    count = 60
    settings = servers(redis_url, postgres_dsn)
    with litellm_proxy(
        tmp_path / "proxy", SECOND_CALLBACK, settings, arguments=("--num_workers", "2", *server)
    ) as gateway:
        eventually(lambda: gateway.said.count("Application startup complete") == 2, within=60)
        with ThreadPoolExecutor(8) as threads:
            answers = [*threads.map(lambda number: chat(gateway, f"hello {number}").status_code, range(count))]
        assert answers == [200] * count
        trees(postgres_dsn, count)
    # Also when all that the workers had to write is written.
    stored = stored_trees(postgres_dsn)
    assert len(stored) == count
    assert {tuple(tree) for tree in stored} == snapshot(
        {
            (
                "POST /v1/chat/completions user_id=ann outcome=ok models=gpt-4o tokens_in=11 tokens_out=7",
                "  auth_check auth /v1/chat/completions [ok]",
                "  security_check execute_guardrail no-explosives [ok]",
                "  llm_thinking chat gpt-4o [ok]",
            )
        }
    )
    rows = query(
        postgres_dsn,
        "SELECT DISTINCT jsonb_object_keys(flow_data->'processes') AS process "
        "FROM omni2.interaction_flows WHERE name LIKE 'POST%'",
    )
    assert len(rows) == 2


LEFT = {
    "first callback": (
        FIRST_CALLBACK,
        snapshot(
            [
                [
                    "POST /v1/chat/completions user_id=ann outcome=cancelled models=gpt-4o tokens_in=16 tokens_out=2",
                    "  llm_thinking litellm_request [ok]",
                    "    security_check guardrail [ok]",
                ]
            ]
        ),
    ),
    "second callback": (
        SECOND_CALLBACK,
        snapshot(
            [
                [
                    "POST /v1/chat/completions user_id=ann outcome=cancelled models=gpt-4o tokens_in=16 tokens_out=2",
                    "  auth_check auth /v1/chat/completions [ok]",
                    "  security_check execute_guardrail no-explosives [ok]",
                    "  llm_thinking chat gpt-4o [ok]",
                ]
            ]
        ),
    ),
}


@pytest.mark.parametrize("callback", LEFT)
def test_a_client_that_leaves_in_the_middle_of_its_stream_is_seen(
    callback: str, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    used, expected = LEFT[callback]
    with litellm_proxy(tmp_path / "proxy", used, servers(redis_url, postgres_dsn)) as gateway:
        with streaming(gateway, "trickle") as answer:
            assert b"The " in next(answer.iter_raw())
        assert trees(postgres_dsn, 1, within=90) == expected


def streaming(gateway: GatewayProcess, text: str) -> Any:
    return httpx.stream(
        "POST",
        f"{gateway.url}/v1/chat/completions",
        json=asking(text, stream=True),
        headers={"Authorization": f"Bearer {ANN}"},
        timeout=60,
    )


def test_a_model_that_hangs_is_seen_while_it_hangs_and_then_as_what_litellm_made_of_it(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    """LiteLLM goes on asking when its client is gone, until its own timeout."""
    impatient = Callback(SECOND_CALLBACK.environment, f"{SECOND_CALLBACK.line}\n  request_timeout: 20")
    with (
        litellm_proxy(tmp_path / "proxy", impatient, servers(redis_url, postgres_dsn)) as gateway,
        running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer,
        ThreadPoolExecutor(1) as thread,
    ):
        answer = thread.submit(chat, gateway, "hang")
        assert eventually(lambda: states_of_running_steps(viewer, "llm_thinking"), within=15) == snapshot(
            {"auth_check": "ended", "security_check": "ended", "llm_thinking": "running"}
        )
        with pytest.raises(httpx.ReadTimeout):
            chat(gateway, "hang", patience=2)
        assert answer.result().status_code == snapshot(408)
        assert trees(postgres_dsn, 2, within=60) == snapshot(
            [
                [
                    "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                    "  auth_check auth /v1/chat/completions [ok]",
                    "  security_check execute_guardrail no-explosives [ok]",
                    "  llm_thinking chat gpt-4o [error]",
                ],
                [
                    "POST /v1/chat/completions user_id=ann outcome=error outcome_reason=server_error models=gpt-4o",
                    "  auth_check auth /v1/chat/completions [ok]",
                    "  security_check execute_guardrail no-explosives [ok]",
                    "  llm_thinking chat gpt-4o [error]",
                ],
            ]
        )


def test_a_proxy_that_is_killed_while_its_model_hangs_leaves_an_interrupted_flow(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = servers(redis_url, postgres_dsn)
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer, ThreadPoolExecutor(1) as thread:
        with litellm_proxy(tmp_path / "proxy", SECOND_CALLBACK, settings) as gateway:
            thread.submit(chat, gateway, "hang")
            eventually(lambda: states_of_running_steps(viewer, "llm_thinking"), within=30)
            os.killpg(gateway.pid, signal.SIGKILL)
        assert trees(postgres_dsn, 1, within=120) == snapshot(
            [
                [
                    "POST /v1/chat/completions user_id=ann outcome=interrupted models=gpt-4o",
                    "  auth_check auth /v1/chat/completions [ok]",
                    "  security_check execute_guardrail no-explosives [ok]",
                    "  llm_thinking chat gpt-4o [None]",
                ]
            ]
        )
