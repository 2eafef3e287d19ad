"""The OpenAPI document says enough to be used, and its examples are what a viewer answers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spanflow.viewer_api import openapi
from spanflow.viewer_api.app import api_routes, create_app
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.api_examples import alike, collected
from tests.support.api_page import answered, fill
from tests.support.viewer_server import TOKEN, RunningViewer

AGAIN = "; run `python -m scripts.generate_api_examples`"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create_app(ViewerSettings(viewer_token=TOKEN)).openapi()


def test_every_operation_is_explained(described: dict[str, Any]) -> None:
    """A docstring on the route is its summary; a parameter has a description of its own or one of `openapi.py`."""
    silent = []
    for name, operation in openapi.operations(described):
        parameters = [each["name"] for each in operation.get("parameters", ()) if "description" not in each]
        words = operation["summary"].split()
        if len(words) < 2 or operation["summary"] == operation["operationId"] or parameters:
            silent.append((name, operation["summary"], parameters))
    assert silent == []


def test_every_operation_says_what_may_go_wrong(described: dict[str, Any]) -> None:
    for name, operation in openapi.operations(described):
        answers = operation["responses"]
        assert {"401", "403", "503"} <= set(answers), name
        for status, response in answers.items():
            if status >= "400" and status != "503":
                assert set(response["content"]) == {"application/problem+json"}, (name, status)


def test_every_operation_has_an_example_of_a_real_answer(described: dict[str, Any]) -> None:
    """A route gets its examples from the requests in the API's pages."""
    without = []
    for name, operation in openapi.operations(described):
        good = [answer for status, answer in operation["responses"].items() if status < "300"]
        kinds = {kind: content for answer in good for kind, content in answer.get("content", {}).items()}
        if "application/json" in kinds and not kinds["application/json"].get("examples"):
            without.append(name)
    assert without == [], f"show a request of each on one of the pages docs/api*.md{AGAIN}"


def test_the_examples_are_what_a_viewer_answers_today(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> None:
    fill(postgres_dsn, tmp_path / "archive")
    today = collected(api_routes(), answered(viewer.http), datetime.now(UTC))
    written = openapi.examples()
    assert list(written) == list(today), AGAIN
    for name, examples in today.items():
        assert [each["request"] for each in written[name]] == [each["request"] for each in examples], AGAIN
        for example, known in zip(examples, written[name], strict=True):
            same = example["status"] == known["status"] and alike(example["answer"], known["answer"])
            assert same, f"{example['request']} answers {example['answer']}, not {known['answer']}{AGAIN}"
