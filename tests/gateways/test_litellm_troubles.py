"""LiteLLM's proxy with several workers, with a model that hangs, and with clients that leave."""

import os
import signal
import threading
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


@pytest.mark.parametrize("server", [(), ("--run_gunicorn",)], ids=["uvicorn", "gunicorn"])
def test_several_workers_lose_and_double_nothing(
    server: tuple[str, ...], redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    count = 60
    settings = servers(redis_url, postgres_dsn)
    with litellm_proxy(
        tmp_path / "proxy", SECOND_CALLBACK, settings, arguments=("--num_workers", "2", *server)
    ) as gateway:
        with ThreadPoolExecutor(8) as threads:
            answers = [*threads.map(lambda number: chat(gateway, f"hello {number}").status_code, range(count))]
        assert answers == [200] * count
        kinds = {tuple(tree) for tree in trees(postgres_dsn, count)}
    assert kinds == snapshot()
    rows = query(
        postgres_dsn,
        "SELECT DISTINCT jsonb_object_keys(flow_data->'processes') AS process "
        "FROM omni2.interaction_flows WHERE name LIKE 'POST%'",
    )
    assert len(rows) == 2


@pytest.mark.parametrize("callback", [FIRST_CALLBACK, SECOND_CALLBACK], ids=["first callback", "second callback"])
def test_a_client_that_leaves_in_the_middle_of_its_stream_is_seen(
    callback: Callback, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with litellm_proxy(tmp_path / "proxy", callback, servers(redis_url, postgres_dsn)) as gateway:
        with streaming(gateway, "trickle") as answer:
            assert b"The " in next(answer.iter_raw())
        assert trees(postgres_dsn, 1, within=90) == snapshot()


def streaming(gateway: GatewayProcess, text: str) -> Any:
    return httpx.stream(
        "POST",
        f"{gateway.url}/v1/chat/completions",
        json=asking(text, stream=True),
        headers={"Authorization": f"Bearer {ANN}"},
        timeout=60,
    )


def test_a_model_that_hangs_is_seen_while_it_hangs_and_then_that_the_client_has_left(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = servers(redis_url, postgres_dsn)
    with (
        litellm_proxy(tmp_path / "proxy", SECOND_CALLBACK, settings) as gateway,
        running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer,
        httpx.Client(timeout=60) as client,
    ):
        left = threading.Event()

        def ask() -> None:
            try:
                body, headers = asking("hang"), {"Authorization": f"Bearer {ANN}"}
                client.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=15)
            except httpx.ReadTimeout:
                left.set()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(ask)
            assert eventually(lambda: states_of_running_steps(viewer, "llm_thinking"), within=14) == snapshot()
        assert left.is_set()
        assert trees(postgres_dsn, 1, within=90) == snapshot()


def test_a_proxy_that_is_killed_while_its_model_hangs_leaves_an_interrupted_flow(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = servers(redis_url, postgres_dsn)
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer, ThreadPoolExecutor(1) as thread:
        with litellm_proxy(tmp_path / "proxy", SECOND_CALLBACK, settings) as gateway:
            thread.submit(chat, gateway, "hang")
            eventually(lambda: states_of_running_steps(viewer, "llm_thinking"), within=30)
            os.killpg(gateway.pid, signal.SIGKILL)
        assert trees(postgres_dsn, 1, within=120) == snapshot()
