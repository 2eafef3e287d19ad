"""What can be said about the files without a Collector."""

import re
from pathlib import Path

import pytest

from tests.support.gateway_process import CHECKOUT

FOLDER = CHECKOUT / "collector_config"
FILES = [FOLDER / "agent.yaml", FOLDER / "gateway.yaml"]
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def setting_lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


@each_file
def test_it_uses_todays_names_of_components(file: Path) -> None:
    outdated = re.compile(r"\b(otlphttp|spanmetrics|loadbalancing|batch/|logging:)")
    assert not [line for line in setting_lines(file) if outdated.search(line)]


@each_file
def test_it_listens_on_loopback_unless_told_otherwise(file: Path) -> None:
    listening = [line.split("endpoint:")[1].strip() for line in setting_lines(file) if "endpoint:" in line]
    assert all("127.0.0.1" in address for address in listening)


@each_file
def test_every_pipeline_begins_with_the_memory_limiter(file: Path) -> None:
    pipelines = [line for line in setting_lines(file) if line.strip().startswith("processors: [")]
    assert pipelines
    assert all("processors: [memory_limiter" in line for line in pipelines)


@each_file
def test_every_component_is_in_the_builders_recipe(file: Path) -> None:
    recipe = (FOLDER / "builder.yaml").read_text(encoding="utf-8").replace("/", "")
    used = set(re.findall(r"^  (\w+):$", "\n".join(setting_lines(file)), re.MULTILINE)) - {"pipelines", "telemetry"}
    assert not [name for name in used if name.replace("_", "") not in recipe]


@each_file
def test_the_head_of_the_file_names_every_variable(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    head = text.split("\nreceivers:")[0]
    used = set(re.findall(r"\$\{env:(\w+)", text))
    assert not [name for name in used if name not in head]
