"""A short talk with a proxy of any release of LiteLLM, by its master key and without callbacks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.real_gateways import answers, programs_of
from tests.support.stored_trees import stored_trees

KEY = "sk-f3a9c1d27b684e50a8d1c4b7e92f6035"
#: Stands in every prompt.
SECRET = "the-word-nobody-may-read"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
UNDER_US = ("spanflow", "run", "--")


def configuration(folder: Path, provider: str, *lines: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        "model_list:\n- model_name: gpt-4o\n  litellm_params:\n"
        f"    {{model: openai/gpt-4o, api_base: '{provider}', api_key: none}}\n"
        + "\n".join(["litellm_settings:", "  num_retries: 0", *lines, "general_settings:", f"  master_key: {KEY}", ""])
    )
    return path


@contextmanager
def litellm(
    folder: Path,
    settings: Mapping[str, str],
    *lines: str,
    command: tuple[str, ...] = UNDER_US,
    release: str = "litellm",
) -> Iterator[GatewayProcess]:
    programs = programs_of(release)
    with model_server() as provider:
        config = configuration(folder, provider, *lines)
        words = [*command, "litellm", "--config", str(config), "--port", "{port}", "--host", "127.0.0.1"]
        environment = {
            "HOME": str(folder),
            "SPANFLOW_DATA_DIR": str(folder / "data"),
            "SPANFLOW_FLOW_GRACE": "0.2",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            **settings,
        }
        with gateway_process(words, folder / "log", environment, programs=programs, within=150) as gateway:
            eventually(lambda: answers(f"{gateway.url}/health/liveliness"), within=100)
            yield gateway


def ask(gateway: GatewayProcess, text: str, key: str = KEY, **more: Any) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"{text} {SECRET}"}], "user": "ann", **more}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def talk(gateway: GatewayProcess) -> list[httpx.Response]:
    return [
        ask(gateway, "hello"),
        ask(gateway, "hello", stream=True),
        ask(gateway, "use a tool", tools=[TOOL]),
        ask(gateway, "fail"),
        ask(gateway, "hello", key="sk-wrong"),
    ]


def settings_of(redis_url: str, postgres_dsn: str) -> dict[str, str]:
    return {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}


def trees(postgres_dsn: str) -> list[list[str]]:
    """What is stored of `talk`. What was said must be nowhere in it."""
    found = eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) == 5 else [], within=20)
    rows = query(
        postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE flow_data::text LIKE $1", f"%{SECRET}%"
    )
    assert rows[0]["count"] == 0
    return found


def told(answer: httpx.Response) -> tuple[int, list[str], Any]:
    """Without what differs from one request to the next: the values of headers, and ids and times of answers."""
    body: Any = answer.text
    if answer.headers.get("content-type") == "application/json":
        body = {key: value for key, value in answer.json().items() if key not in ("id", "created")}
    elif answer.headers["content-type"].startswith("text/event-stream"):
        body = answer.text.count("data: ")
    return answer.status_code, sorted(answer.headers), body
