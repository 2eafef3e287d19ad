"""Functions of the gateway's own that say whose request it is: they are asked, and hurt no request."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi
import httpx
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spanflow.instrumentation import checkpoint, configure
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving

Start = Callable[..., Recorded]


def gateway() -> Any:
    app = fastapi.FastAPI()

    @app.get("/ask/{name}")
    async def ask(name: str) -> dict[str, str]:
        with checkpoint("tool_call", tool="lookup"):
            return {"hello": name}

    return app


def test_an_extractor_from_code(started: Start) -> None:
    recorded = started()

    def by_token(scope: Any) -> dict[str, object]:
        return {"user_id": dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")}

    def broken(scope: Any) -> None:
        raise RuntimeError("not today")

    assert configure(extractors=[by_token, broken])
    with serving(gateway()) as address:
        assert httpx.get(f"http://{address}/ask/ann", headers={"Authorization": "Bearer joe"}).status_code == 200
    assert {(span.attributes or {}).get("user.id") for span in recorded.spans} == {"joe"}


def test_an_extractor_that_hangs_holds_up_no_request_for_long(started: Start, caplog: pytest.LogCaptureFixture) -> None:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    recorded = started()
    goes_on, calls = threading.Event(), []

    def hanging(scope: Any) -> None:
        calls.append(scope)
        goes_on.wait(60)

    def quick(scope: Any) -> dict[str, object]:
        return {"user_id": "joe"}

    assert configure(extractors=[hanging, quick])
    try:
        with serving(gateway()) as address, httpx.Client(base_url=f"http://{address}", timeout=20) as client:
            for _ in range(7):
                begun = time.monotonic()
                assert client.get("/ask/ann").status_code == 200
                took = time.monotonic() - begun
    finally:
        goes_on.set()
    # Once all of its threads hang, no request waits for it any more.
    assert len(calls) == 4
    assert took < 0.1
    assert {(span.attributes or {}).get("user.id") for span in recorded.spans} == {"joe"}
    (said,) = [record for record in caplog.records if "hanging" in record.getMessage()]
    assert "did not answer in time" in said.getMessage()
    assert failures(reader) == {"timeout": 7}


def failures(reader: InMemoryMetricReader) -> dict[str, int]:
    """How often identity extractors failed, by reason."""
    data: Any = reader.get_metrics_data()
    return {
        point.attributes["error.type"]: point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "spanflow.identity.extractor.failures"
        for point in metric.data.data_points
    }


def test_an_answer_that_comes_too_late_is_not_taken(started: Start) -> None:
    recorded = started()
    answered = threading.Event()

    def slow(scope: Any) -> dict[str, object]:
        answered.wait(0.5)
        return {"user_id": "late"}

    assert configure(extractors=[slow])
    with serving(gateway()) as address:
        assert httpx.get(f"http://{address}/ask/ann", timeout=20).status_code == 200
        answered.set()
    assert {(span.attributes or {}).get("user.id") for span in recorded.spans} == {None}


def test_a_setting_names_an_extractor_that_is_imported_with_the_first_request(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gateway_users.py").write_text(
        "class Users:\n"
        "    @staticmethod\n"
        "    def of(scope):\n"
        "        return {'user_id': dict(scope['headers'])[b'x-token'].decode(), 'team': 'blue'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "gateway_users", raising=False)
    recorded = started(extractors=("gateway_users:Users.of", "no_such_module:of"))
    assert "gateway_users" not in sys.modules
    with serving(gateway()) as address:
        for _ in range(2):  # the first may have to wait for the import longer than a request does
            assert httpx.get(f"http://{address}/ask/ann", headers={"X-Token": "joe"}).status_code == 200
    assert (recorded.spans[-1].attributes or {}).get("user.id") == "joe"


@pytest.mark.parametrize("wrong", ["users", "users:", ":of", "my users:of", "users:of()"])
def test_a_setting_that_names_no_function_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="names no function"):
        Settings.from_environ({"SPANFLOW_EXTRACTORS": wrong})
