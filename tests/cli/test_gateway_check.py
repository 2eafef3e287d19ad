"""What the doctor says about the gateways and model clients that are installed beside us."""

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from spanflow.cli.checks.finding import Finding, Level
from spanflow.cli.checks.gateways import Gateway
from spanflow.cli.checks.startup_report import StartupReport
from spanflow.span_processors.settings import Settings
from tests.support.situations import situation

OURS = version("spanflow")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions, beside the real ones."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(folder: Path, name: str, version: str, instruments: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if instruments:
        (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{instruments} = some.module:Class\n")


def findings(**known: Any) -> list[Finding]:
    async def run() -> list[Finding]:
        return [finding async for finding in Gateway().run(situation(**known))]

    return asyncio.run(run())


def test_without_a_gateway_there_is_nothing_to_say(installed: Path) -> None:
    assert [finding.level for finding in findings()] == [Level.OK]


def test_a_gateway_without_instrumentation_comes_with_the_command_that_installs_it(installed: Path) -> None:
    install(installed, "litellm", "1.108.7")
    install(installed, "openai", "3.57.0")  # which litellm brings along
    known, missing = findings()
    assert known.message == "litellm 1.108.7, known by the preset litellm"
    assert missing.message == "nothing makes spans of what litellm asks models, so such a flow is one span"
    assert missing.repair == f"pip install spanflow=={OURS} openinference-instrumentation-litellm"


def test_with_it_all_is_well(installed: Path) -> None:
    install(installed, "litellm", "1.108.7")
    install(installed, "openinference-instrumentation-litellm", "0.1.51", "litellm")
    assert [finding.level for finding in findings()] == [Level.OK, Level.OK]


def test_an_instrumentation_that_cannot_be_imported_is_named(installed: Path) -> None:
    """OpenTelemetry skips it without a word where a module that it needs is not there."""
    install(installed, "openai", "3.57.0")
    install(installed, "opentelemetry-instrumentation-openai-v2", "2.4b0", "openai")
    report = StartupReport.ask({"PYTHONPATH": str(installed)})
    assert report.log == ""
    *_, finding = findings(startup=report)
    assert finding.level is Level.WARNING
    assert finding.message == (
        "calls of openai are not seen: opentelemetry-instrumentation-openai-v2 2.4b0 cannot be imported: "
        "No module named 'some'"
    )
    assert finding.repair is not None and "'opentelemetry-util-genai<1'" in finding.repair


def test_a_preset_that_is_forced_is_named(installed: Path) -> None:
    forced = Settings(gateway="omni2-bridge")
    assert [finding.message for finding in findings(gateway=forced)] == [
        "the preset omni2-bridge is on (SPANFLOW_GATEWAY), whichever gateway this is"
    ]
    install(installed, "fastmcp", "4.2.3")
    assert [finding.message for finding in findings(gateway=Settings(gateway="fastmcp"))] == [
        "fastmcp 4.2.3, which makes spans by the conventions"
    ]


def test_clients_of_models_are_named_together(installed: Path) -> None:
    install(installed, "openai", "3.57.0")
    install(installed, "anthropic", "2.1.0")
    assert findings()[-1].repair == (
        f"pip install spanflow=={OURS} openinference-instrumentation-openai openinference-instrumentation-anthropic"
    )


def test_a_gateway_that_follows_the_conventions_needs_nothing(installed: Path) -> None:
    install(installed, "fastmcp", "4.2.3")
    install(installed, "mcp-contextforge-gateway", "1.0.7")
    assert [finding.message for finding in findings()] == [
        "mcp-contextforge-gateway 1.0.7, known by the preset contextforge",
        "fastmcp 4.2.3, which makes spans by the conventions",
    ]
