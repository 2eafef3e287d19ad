"""An unchanged gateway in every way in which gateways are started: real servers, real processes, flows in Redis."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.archives import archives_in, replay
from tests.support.gateway_process import BIN, CHECKOUT, GatewayProcess, gateway_process
from tests.support.mirrored import ended_names, flows_of
from tests.support.poll import eventually
from tests.support.proxy import TcpProxy
from tests.support.query import query

APP = "tests.instrumentation.gateways.unchanged:app"
AUTO = "opentelemetry-instrument"
WHOLE = ["GET /ask", "auth_check", "llm_thinking", "tool_call"]

MODELS = {
    "uvicorn": [AUTO, "uvicorn", APP, "--port", "{port}"],
    "python -m": [AUTO, "python", "-m", "tests.instrumentation.gateways.unchanged", "{port}"],
    "gunicorn": [AUTO, "gunicorn", APP, "-w", "2", "-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}"],
    "uvicorn --workers": [AUTO, "uvicorn", APP, "--workers", "2", "--port", "{port}"],
    "uvicorn --reload": [AUTO, "uvicorn", APP, "--reload", "--reload-dir", "docs", "--port", "{port}"],
    "gunicorn --preload": [
        *(AUTO, "gunicorn", APP, "-w", "2", "--preload"),
        *("-k", "uvicorn.workers.UvicornWorker", "-b", "127.0.0.1:{port}"),
    ],
    "spanflow run": ["spanflow", "run", "--", "uvicorn", APP, "--port", "{port}"],
    "configure": ["uvicorn", "tests.instrumentation.gateways.configured:app", "--port", "{port}"],
}
#: The others are started by `make test-long`.
EVERY_TIME = ("uvicorn", "gunicorn", "gunicorn --preload", "uvicorn --workers", "spanflow run", "configure")


def environment(redis_url: str, **more: str) -> dict[str, str]:
    return {
        "SPANFLOW_ENABLED": "true",
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_ARCHIVE_ENABLED": "false",
        **more,
    }


def ask(gateway: GatewayProcess, times: int = 1) -> set[int]:
    """Ask as user ann; the processes that answered."""
    with httpx.Client(headers={"X-User-Id": "ann", "Connection": "close"}, timeout=20) as client:
        return {client.get(f"{gateway.url}/ask").json()["pid"] for _ in range(times)}


def whole_flows(redis_url: str, count: int) -> bool:
    found = [ended_names(events) for events in flows_of(redis_url, "ann").values()]
    return found == [WHOLE] * count


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=name, marks=[] if name in EVERY_TIME else [pytest.mark.long])
        for name, command in MODELS.items()
    ],
)
def test_every_process_model_gives_whole_flows(command: Sequence[str], redis_url: str, tmp_path: Path) -> None:
    several = "-w" in command or "--workers" in command
    with gateway_process(command, tmp_path / "log", environment(redis_url)) as gateway:
        processes, asked = ask(gateway, 10), 10
        while several and len(processes) < 2 and asked < 200:  # it is the kernel that chooses who answers
            processes |= ask(gateway, 10)
            asked += 10
        eventually(lambda: whole_flows(redis_url, asked))
        said = gateway.said
    assert "Traceback" not in said
    events = [event for flow in flows_of(redis_url, "ann").values() for event in flow]
    owners = {event["process"] for event in events if "process" in event}
    assert len(owners) == len(processes) == (2 if several else 1)


def test_what_waits_is_delivered_when_the_server_stops(redis_url: str, tmp_path: Path) -> None:
    """Also what has come in the very moment before."""
    settings = environment(redis_url, SPANFLOW_BATCH_INTERVAL="1")
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
        ask(gateway, 3)
    assert whole_flows(redis_url, 3)


@pytest.mark.parametrize("model", ["uvicorn", "gunicorn --preload"])
def test_what_every_worker_has_seen_is_in_postgres_when_the_server_has_stopped(
    model: str, redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    settings = environment(
        redis_url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_dsn,
        SPANFLOW_DATA_DIR=str(tmp_path / "spool"),
    )
    with gateway_process(MODELS[model], tmp_path / "log", settings) as gateway:
        ask(gateway, 10)
    rows = query(postgres_dsn, "SELECT user_id, flow_data FROM omni2.interaction_flows")
    assert [row["user_id"] for row in rows] == ["ann"] * 10
    stored = [sorted(event["name"] for event in json.loads(row["flow_data"])["events"]) for row in rows]
    assert stored == [WHOLE] * 10


def test_it_stays_off_until_it_is_switched_on(redis_url: str, tmp_path: Path) -> None:
    settings = environment(redis_url, SPANFLOW_ENABLED="")
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
        ask(gateway)
        said = gateway.said
    assert flows_of(redis_url, "ann") == {}
    assert "spanflow" not in said.lower().replace("/spanflow", "")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        (
            "OTEL_SDK_DISABLED",
            "true",
            "OpenTelemetry is off in this process, and Spanflow with it",
        ),
        ("SPANFLOW_QUEUE_SPANS", "many", "SPANFLOW_QUEUE_SPANS: 'many' cannot be used"),
    ],
)
def test_what_is_wrong_is_said_once_and_the_gateway_runs_untraced(
    setting: str, value: str, sentence: str, redis_url: str, tmp_path: Path
) -> None:
    settings = environment(redis_url, **{setting: value})
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
        ask(gateway, 2)
        said = gateway.said
    assert said.count(sentence) == 1
    assert "Traceback" not in said
    assert flows_of(redis_url, "ann") == {}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("OTEL_PROPAGATORS", "none", "would make every request fail; repaired"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "so nothing is exported; flows are still recorded"),
        ("OTEL_TRACES_EXPORTER", "no_such_exporter", "so nothing is exported; flows are still recorded"),
        ("OTEL_PYTHON_DISTRO", "no_such_distro", ""),
        ("OTEL_TRACES_SAMPLER", "always_off", ""),
    ],
)
@pytest.mark.long
def test_unusual_opentelemetry_settings_lose_no_flow(
    setting: str, value: str, sentence: str, redis_url: str, tmp_path: Path
) -> None:
    settings = environment(redis_url, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    if setting != "OTEL_EXPORTER_OTLP_PROTOCOL":
        settings = environment(redis_url)
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", {**settings, setting: value}) as gateway:
        ask(gateway, 2)
        eventually(lambda: whole_flows(redis_url, 2))
        said = gateway.said
    assert said.count(sentence) == 1 or not sentence


@pytest.mark.long
def test_a_declarative_configuration_file_keeps_our_processors(redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(
        'file_format: "1.0"\ntracer_provider:\n  processors:\n    - simple: {exporter: {console: {}}}\n',
        encoding="utf-8",
    )
    settings = environment(redis_url, OTEL_CONFIG_FILE=str(file))
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings) as gateway:
        ask(gateway, 2)
        eventually(lambda: whole_flows(redis_url, 2))
        said = gateway.said
    assert "ignoring configurator kwargs" not in said
    assert '"name": "tool_call"' in said
    assert said.count("would make every request fail; repaired") == 1


@pytest.fixture(scope="module", params=["fastapi==0.115.0", "fastapi==0.136.0"])
def older_fastapi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment whose FastAPI has no tracing of its own."""
    folder = tmp_path_factory.mktemp("older-fastapi") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    packages = [request.param, "uvicorn==0.30.0", "gunicorn", "--editable", str(CHECKOUT)]
    made = subprocess.run(
        [*uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"{request.param} cannot be installed here: {made.stderr[-300:]}")
    return folder / "bin"


@pytest.mark.long
@pytest.mark.parametrize("model", ["uvicorn", "gunicorn --preload", "configure"])
def test_older_fastapi_gives_whole_flows_too(model: str, older_fastapi: Path, redis_url: str, tmp_path: Path) -> None:
    with gateway_process(MODELS[model], tmp_path / "log", environment(redis_url), programs=older_fastapi) as gateway:
        ask(gateway, 3)
        eventually(lambda: whole_flows(redis_url, 3))


OTHER_DISTRO = """
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class OtherDistro(BaseDistro):
    def _configure(self, **kwargs):
        print("the other distro was here", flush=True)

class OtherConfigurator(_OTelSDKConfigurator):
    def _configure(self, **kwargs):
        print("the other configurator was here", flush=True)
        super()._configure(**kwargs)
"""
ENTRY_POINTS = """
[opentelemetry_distro]
other = other_distro:OtherDistro
[opentelemetry_configurator]
other = other_distro:OtherConfigurator
"""


@pytest.fixture
def other_distro(tmp_path: Path) -> Path:
    """Somebody else's distro, found before ours because it stands earlier on the path."""
    folder = tmp_path / "site"
    metadata = folder / "other_distro-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "other_distro.py").write_text(OTHER_DISTRO, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-distro\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return folder


@pytest.mark.parametrize("chosen", ["", "spanflow", "other"])
@pytest.mark.long
def test_beside_another_distro(chosen: str, other_distro: Path, redis_url: str, tmp_path: Path) -> None:
    settings = environment(redis_url)
    if chosen:
        settings |= {"OTEL_PYTHON_DISTRO": chosen, "OTEL_PYTHON_CONFIGURATOR": chosen}
    with gateway_process(MODELS["uvicorn"], tmp_path / "log", settings, python_path=[other_distro]) as gateway:
        ask(gateway, 2)
        eventually(lambda: whole_flows(redis_url, 2))
        said = gateway.said
    assert said.count("the other distro was here") == (chosen != "spanflow")
    assert said.count("the other configurator was here") == (chosen != "spanflow")


PROBE = """
import json, os, threading
links = []
for f in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink(f"/proc/self/fd/{f}"))
    except OSError:
        pass
from spanflow.instrumentation.startup import started
print(json.dumps({
    "threads": [t.name for t in threading.enumerate()],
    "sockets": [l for l in links if l.startswith("socket")],
    "started": started() is not None,
}))
"""


def test_nothing_is_opened_and_no_thread_starts_before_the_first_span(redis_url: str, tmp_path: Path) -> None:
    seen = _run_probe(tmp_path, environment(redis_url, SPANFLOW_ARCHIVE_ENABLED="true"))
    assert seen == {"threads": ["MainThread"], "sockets": [], "started": True}


def _run_probe(tmp_path: Path, settings: dict[str, str]) -> Any:
    done = subprocess.run(
        [str(BIN / AUTO), "python", "-c", PROBE],
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), **settings},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("model", ["uvicorn", "gunicorn"])
def test_a_stop_keeps_one_time_limit_while_both_servers_are_silent_and_loses_no_flow(
    model: str, redis_url: str, postgres_dsn: str, tmp_path: Path, proxy: Callable[[str], TcpProxy]
) -> None:
    """uvicorn ends by the signal that stopped it, without anything that runs at exit; gunicorn's workers do exit."""
    redis_line, postgres_line = proxy(redis_url), proxy(postgres_dsn)
    settings = environment(
        redis_line.url,
        SPANFLOW_ARCHIVE_ENABLED="true",
        SPANFLOW_POSTGRES_DSN=postgres_line.url,
        SPANFLOW_DATA_DIR=str(tmp_path),
        SPANFLOW_FLUSH_TIMEOUT="3",
    )
    with gateway_process(MODELS[model], tmp_path / "log", settings) as gateway:
        ask(gateway, 5)
        redis_line.half_open()
        postgres_line.half_open()
        ask(gateway, 5)
        begun = time.monotonic()
    took = time.monotonic() - begun
    assert took < 6, f"one time limit of 3 s for all, and what the server itself needs; it took {took:.1f} s"
    redis_line.cut()
    postgres_line.cut()
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
    assert len(query(postgres_dsn, "SELECT FROM omni2.interaction_flows WHERE span_count = 4")) == 10
