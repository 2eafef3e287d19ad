"""`spanflow up --collector --jaeger`: with what is on the machine, and without it."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.cli.test_up import link_in
from tests.support.go_tools import collector, jaeger
from tests.support.poll import eventually
from tests.support.spanflow_command import Running, running

_ACCEPTED = re.compile(r"^spanflow_viewer_otlp_spans_accepted_total (\S+)$", re.MULTILINE)


@pytest.fixture
def settings(new_server_directory: Callable[[], Path]) -> dict[str, str]:
    return {"SPANFLOW_DATA_DIR": str(new_server_directory() / "data")}


def spans_arrive(up: Running) -> None:
    address, _, code = link_in(up.wait_for("#code=", 240))
    with httpx.Client(base_url=address, timeout=20) as browser:
        browser.post("api/v1/session", json={"code": code}, headers={"origin": address.rstrip("/")}).raise_for_status()

        def accepted() -> float:
            match = _ACCEPTED.search(browser.get("metrics").text)
            return float(match[1]) if match else 0.0

        eventually(lambda: accepted() > 10, within=60)


def test_without_a_collector_gateways_export_to_the_viewer_and_it_says_so(
    settings: dict[str, str], tmp_path: Path
) -> None:
    nothing_built = {"XDG_CACHE_HOME": str(tmp_path)}
    with running("up", "--demo", "--collector", "--jaeger", settings={**settings, **nothing_built}) as up:
        spans_arrive(up)
        assert "no Collector: `otelcol-contrib` is not on PATH" in up.said
        assert "no Jaeger: `jaeger` is not on PATH" in up.said
        assert up.end(signal.SIGINT) == 0


@pytest.mark.long
def test_a_collector_takes_the_spans_of_the_demo_to_the_viewer(settings: dict[str, str]) -> None:
    collector()
    with running("up", "--demo", "--collector", settings=settings) as up:
        spans_arrive(up)
        assert "✓ collector" in up.said
        assert up.end(signal.SIGINT) == 0


@pytest.mark.long
@pytest.mark.parametrize("between", [(), ("--collector",)], ids=["directly", "by a Collector"])
def test_the_spans_of_the_demo_are_in_a_real_jaeger(settings: dict[str, str], between: tuple[str, ...]) -> None:
    jaeger()
    if between:
        collector()
    with running("up", "--demo", "--jaeger", *between, settings=settings) as up:
        up.wait_for("#code=", 240)
        address = re.search(r"✓ jaeger +(http://\S+)", up.said)
        assert address is not None, up.said
        with httpx.Client(base_url=address[1], timeout=20) as query:

            def spans() -> int:
                found = query.get("/api/traces", params={"service": "example-gateway", "limit": 5}).json()["data"]
                return max((len(trace["spans"]) for trace in found or ()), default=0)

            eventually(lambda: spans() > 5, within=120)
        assert up.end(signal.SIGINT) == 0
