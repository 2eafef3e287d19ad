"""The tests that OpenTelemetry matters to pass with older releases of it; with the newest they are `make test`."""

import pytest

from scripts.try_versions import NEWEST, chosen_tests, names_of_suites, suite_of

pytestmark = pytest.mark.long


@pytest.mark.parametrize("release", [name for name in names_of_suites() if name != NEWEST])
def test_they_pass(release: str) -> None:
    result = suite_of(release)
    if "python" not in result:
        pytest.skip(result["skipped"])
    assert result["opentelemetry-sdk"].startswith(f"{release}.")
    assert (result["failed"], result["passed"] > 500) == (0, True), result


def test_they_are_those_that_make_spans() -> None:
    chosen = set(chosen_tests())
    assert {"tests/instrumentation", "tests/span_processors/test_pipeline.py"} <= chosen
    assert "tests/span_processors/test_reducer.py" not in chosen
