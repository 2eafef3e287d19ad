"""Python's garbage collector is the gateway's own, until its operator asks for something else."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from dirty_equals import IsInt

from spanflow.instrumentation.collecting import Threshold
from spanflow.span_processors.settings import Settings
from tests.instrumentation.gateways.collecting import LOADED
from tests.support.gateway_process import gateway_process

APP = "tests.instrumentation.gateways.collecting:app"
UVICORN = ["opentelemetry-instrument", "uvicorn", APP, "--port", "{port}"]
GUNICORN = [
    *("opentelemetry-instrument", "gunicorn", APP, "-w", "2"),
    *("-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}"),
]
RUN = ["spanflow", "run", "--", "uvicorn", APP, "--port", "{port}"]
ASKED = {"SPANFLOW_GC_FREEZE": "true", "SPANFLOW_GC_THRESHOLD": "50000"}
USUAL = list(gc.get_threshold())


def collectors(command: Sequence[str], redis_url: str, log: Path, processes: int, more: dict[str, str]) -> list[Any]:
    """What the gateway's processes say at the second request, that is when the first one is over."""
    environment = {"SPANFLOW_ENABLED": "true", "SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_ARCHIVE_ENABLED": "false"}
    said: dict[int, list[Any]] = {}
    with gateway_process(command, log, environment | more) as gateway, httpx.Client(timeout=20) as client:
        while len([answers for answers in said.values() if len(answers) > 1]) < processes:
            answer = client.get(f"{gateway.url}/collector", headers={"Connection": "close"}).json()
            said.setdefault(answer.pop("pid"), []).append(answer)
            assert sum(map(len, said.values())) < 200
        assert "Traceback" not in gateway.said
    return [answers[1] for answers in said.values() if len(answers) > 1]


def test_it_is_left_alone_unless_asked(redis_url: str, tmp_path: Path) -> None:
    assert collectors(UVICORN, redis_url, tmp_path / "log", 1, {}) == [{"frozen": 0, "thresholds": USUAL}]


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        pytest.param(UVICORN, 1, id="uvicorn"),
        pytest.param(GUNICORN, 2, id="gunicorn", marks=pytest.mark.long),
        pytest.param([*GUNICORN, "--preload"], 2, id="gunicorn --preload"),
        pytest.param(RUN, 1, id="spanflow run"),
    ],
)
def test_what_the_application_holds_at_its_start_is_passed_by(
    command: Sequence[str], processes: int, redis_url: str, tmp_path: Path
) -> None:
    said = collectors(command, redis_url, tmp_path / "log", processes, ASKED)
    assert said == [{"frozen": IsInt(gt=LOADED), "thresholds": [50_000, *USUAL[1:]]}] * processes


def test_where_no_server_asks_for_the_start_it_is_the_first_request(redis_url: str, tmp_path: Path) -> None:
    command = [*UVICORN, "--lifespan", "off"]
    said = collectors(command, redis_url, tmp_path / "log", 1, ASKED)
    assert said == [{"frozen": IsInt(gt=10_000, lt=LOADED), "thresholds": [50_000, *USUAL[1:]]}]


def test_stopping_gives_the_thresholds_back() -> None:
    before = gc.get_threshold()
    threshold = Threshold(Settings(gc_threshold=12_345))
    try:
        threshold.install()
        threshold.install()
        assert gc.get_threshold()[0] == 12_345
    finally:
        threshold.remove()
    assert gc.get_threshold() == before
