"""Whatever the OpenAPI document allows, and what it does not, is sent to a running viewer: it never answers with a
mistake of its own, and always as it said it would."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.support.api_page import fill
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer

BEARER = {"Authorization": f"Bearer {TOKEN}"}
#: Their good answers never end.
ENDLESS = {"GET /api/v1/live"}
CHECKS: Any = [not_a_server_error, status_code_conformance, content_type_conformance]


@pytest.fixture
def filled(make_viewer: MakeViewer, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """Without limits, which would refuse nearly everything that is sent here."""
    viewer = make_viewer(viewer_requests_per_second=100_000.0, viewer_failed_sign_ins=100_000)
    fill(postgres_dsn, tmp_path / "archive")
    return viewer


def send_everything(viewer: RunningViewer, examples: int) -> int:
    """So many requests to each operation that are right, and as many that are wrong; how many operations there are."""
    schema = schemathesis.openapi.from_url(f"{viewer.origin}/api/v1/openapi.json", headers=BEARER)
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    failures: list[Exception] = []
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if operation.label not in ENDLESS else ():
            try:
                _send(operation, mode, examples)
            except Unsatisfiable:
                # An operation without parameters cannot be asked wrongly.
                assert mode is GenerationMode.NEGATIVE
            except Exception as why:
                failures.append(why)
    if failures:
        raise ExceptionGroup("answers that should not be", failures)
    return len(operations)


def _send(operation: Any, mode: GenerationMode, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def sent(case: Any) -> None:
        response = case.call(headers=BEARER, timeout=15)
        case.validate_response(response, checks=CHECKS)

    sent()


def test_no_request_makes_the_viewer_fail(filled: RunningViewer) -> None:
    assert send_everything(filled, 4) > 25


@pytest.mark.long
def test_no_request_of_many_makes_the_viewer_fail(filled: RunningViewer) -> None:
    send_everything(filled, 300)
