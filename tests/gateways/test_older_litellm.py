"""The last LiteLLM that pins OpenTelemetry 1.28.0 with 0.49b0, started as people start it."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.support.litellm_talk import UNDER_US, litellm, settings_of, talk, told, trees

pytestmark = pytest.mark.long

RELEASE = "litellm-1.102"


def test_its_flows_are_trees(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    with litellm(tmp_path, settings_of(redis_url, postgres_dsn), release=RELEASE) as gateway:
        talk(gateway)
        assert trees(postgres_dsn) == snapshot(
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
                ["POST /v1/chat/completions outcome=error outcome_reason=caller_error"],
            ]
        )


def test_its_answers_are_the_same_as_without_us(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    def conversation(name: str, command: tuple[str, ...]) -> object:
        folder = tmp_path / name
        folder.mkdir()
        with litellm(folder, settings_of(redis_url, postgres_dsn), command=command, release=RELEASE) as gateway:
            return [told(answer) for answer in talk(gateway)]

    assert conversation("traced", UNDER_US) == conversation("bare", ())
