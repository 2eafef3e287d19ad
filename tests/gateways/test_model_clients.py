"""Gateways that ask models by OpenAI's and Anthropic's clients, under each family of instrumentations for them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.real_gateways import programs_of
from tests.support.stored_trees import stored_trees

pytestmark = pytest.mark.long

#: Stands in every prompt.
SECRET = "the-word-nobody-may-read"
APP = "tests.gateways.programs.model_gateway:app"
REQUESTS = (
    ("ask", "hello"),
    ("stream", "hello"),
    ("ask", "tool"),
    ("ask", "fail"),
    ("embed", "hello"),
    ("claude", "hello"),
)


@contextmanager
def model_gateway(folder: Path, family: str, settings: Mapping[str, str]) -> Iterator[GatewayProcess]:
    programs = programs_of("model_clients")
    with model_server() as provider:
        environment = {
            "INSTRUMENTED_BY": family,
            "PROVIDER": provider,
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,anthropic",
            "SPANFLOW_DATA_DIR": str(folder / "data"),
            "SPANFLOW_FLOW_GRACE": "0.2",
            "TRACELOOP_TELEMETRY": "false",
            **settings,
        }
        words = ["spanflow", "run", "--", "uvicorn", APP, "--port", "{port}"]
        with gateway_process(words, folder / "log", environment, programs=programs, within=60) as gateway:
            yield gateway


def trees(folder: Path, family: str, redis_url: str, postgres_dsn: str, **more: str) -> list[list[str]]:
    settings = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn, **more}
    with model_gateway(folder, family, settings) as gateway:
        for path, text in REQUESTS:
            httpx.post(f"{gateway.url}/{path}", json={"text": f"{text} {SECRET}"}, timeout=60).read()
        return eventually(lambda: [*t] if len(t := stored_trees(postgres_dsn)) == len(REQUESTS) else [], within=20)


def stored_with(postgres_dsn: str, text: str) -> int:
    rows = query(
        postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE flow_data->>'events' LIKE $1", f"%{text}%"
    )
    return int(rows[0]["count"])


#: Step by request; OpenLLMetry tells of Anthropic's call beside the client itself, which also makes spans.
OPENINFERENCE = (
    "ChatCompletion",
    "CreateEmbeddings",
    "messages.create",
    "    llm_thinking anthropic.messages.create [ok]",
)
OPENLLMETRY = ("openai.chat", "openai.embeddings", "anthropic.chat", "  llm_thinking anthropic.messages.create [ok]")


def expected(
    chat: str, embed: str, claude: str, claudes_own: str, in_error: str, embedded: str, asker: str = ""
) -> list[list[str]]:
    used = "models=gpt-4o tokens_in=11 tokens_out=7"
    return [
        [f"POST /ask{asker} outcome=ok {used}", f"  llm_thinking {chat} [ok]"],
        [f"POST /stream outcome=ok {used}", f"  llm_thinking {chat} [ok]"],
        [f"POST /ask{asker} outcome=ok {used}", f"  llm_thinking {chat} [ok]"],
        [f"POST /ask{asker} outcome=error outcome_reason=server_error{in_error}", f"  llm_thinking {chat} [error]"],
        [f"POST /embed outcome=ok models=text-embedding-3-small {embedded}", f"  embedding {embed} [ok]"],
        [
            "POST /claude outcome=ok models=claude-sonnet-5 tokens_in=11 tokens_out=7",
            f"  llm_thinking {claude} [ok]",
            claudes_own,
        ],
    ]


def test_under_openinference_each_call_has_model_and_tokens_and_nothing_that_was_said(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    found = trees(tmp_path, "openinference", redis_url, postgres_dsn)
    assert found == expected(*OPENINFERENCE, "", "tokens_in=11")
    assert stored_with(postgres_dsn, SECRET) == 0


def test_under_openllmetry_too_and_an_answer_of_which_two_spans_tell_counts_once(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    found = trees(tmp_path, "openllmetry", redis_url, postgres_dsn)
    assert found == expected(*OPENLLMETRY, " models=gpt-4o", "tokens_in=11 tokens_out=7", " user_id=ann")
    assert stored_with(postgres_dsn, SECRET) == 0


def test_contents_are_there_where_they_are_wanted(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    trees(tmp_path, "openllmetry", redis_url, postgres_dsn, SPANFLOW_CONTENT="full")
    assert stored_with(postgres_dsn, SECRET) >= 4
