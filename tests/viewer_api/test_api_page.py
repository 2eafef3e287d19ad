"""The examples of the API's pages are sent to a real viewer, and answered as the pages say."""

import re
from pathlib import Path
from typing import Any

import pytest

from spanflow.viewer_api.http import problems
from tests.support.api_page import PAGE, PAGES, answered, examples, examples_of, fill, shape
from tests.support.viewer_server import RunningViewer


@pytest.fixture
def filled(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """What the pages speak of."""
    fill(postgres_dsn, tmp_path / "archive")
    return viewer


def fits(answer: Any, shown: Any) -> bool:
    """Whether an answer has all that the page shows. The page may leave out what is explained elsewhere."""
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(key in answer and fits(answer[key], shown[key]) for key in shown)
    if isinstance(shown, list):
        return isinstance(answer, list) and (not shown or (bool(answer) and fits(answer[0], shown[0])))
    return shown is None or answer is None or type(answer) is type(shown) or {type(answer), type(shown)} == {int, float}


def test_the_examples_are_answered_as_the_pages_say(filled: RunningViewer) -> None:
    assert len(examples()) > 20
    for example, response in answered(filled.http):
        where, shown = f"{example.method} {example.path}", example.answer
        if shown is None:
            assert response.status_code == 204, (where, response.text)
            continue
        answer = response.json()
        assert response.status_code == shown.get("status", 200) or isinstance(shown["status"], str), (where, answer)
        assert fits(answer, shown), f"{where}\nanswered {shape(answer)}\nthe page shows {shape(shown)}"
        assert "flow_data" in answer or set(answer) == set(shown), (where, sorted(answer), sorted(shown))


def test_values_that_do_not_depend_on_the_hour_are_those_of_the_pages(filled: RunningViewer) -> None:
    """What was seeded at the times of the page comes back as it is printed there."""
    for path in ("/api/v1/flows?user_id=7&limit=50", "/api/v1/activities/conversation/c-1"):
        (shown,) = [each.answer for each in examples() if each.path == path]
        answer = filled.get(path)
        if "activities" in shown:
            answer["activities"] = answer["activities"][:1]
        assert answer == shown


def test_every_error_code_is_documented() -> None:
    sources = Path(problems.__file__).parents[1].rglob("*.py")
    made = {
        code for source in sources for code in re.findall(r'Problem\(\s*(?:\d{3}),\s*"([a-z_]+)"', source.read_text())
    }
    table = PAGE.read_text().partition("## Errors")[2]
    assert made - set(re.findall(r"`([a-z_]+)`", table)) == set()
    assert len(made) > 8


def test_the_pages_are_all_that_there_are() -> None:
    assert set(PAGES) == {PAGE, *PAGE.parent.glob("api-*.md")}
    assert [page.name for page in PAGES if not examples_of(page.read_text())] == []
