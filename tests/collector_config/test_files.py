"""What can be said about the files without a Collector."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.collector import BASES, FOLDER, OVERLAYS, merged

FILES = sorted(FOLDER.glob("*.yaml"))
SETTINGS = [file for file in FILES if file.stem in {*BASES, *OVERLAYS}]
each_file = pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.stem)
each_base = pytest.mark.parametrize("base", BASES)
COMPOSE = FOLDER / "compose.yaml"


def setting_lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


def read(*names: str) -> dict[str, Any]:
    return merged(*(FOLDER / f"{name}.yaml" for name in names))


def test_every_file_is_looked_at() -> None:
    assert {file.stem for file in FILES} == {*BASES, *OVERLAYS, "builder", "compose"}


@each_file
def test_it_uses_todays_names_of_components(file: Path) -> None:
    outdated = re.compile(r"\b(otlphttp|spanmetrics|loadbalancing|resourcedetection|batch/|logging:)")
    assert not [line for line in setting_lines(file) if outdated.search(line)]


@each_base
def test_it_listens_on_loopback_unless_told_otherwise(base: str) -> None:
    listening = [
        line.split("endpoint:")[1].strip() for line in setting_lines(FOLDER / f"{base}.yaml") if "endpoint:" in line
    ]
    assert listening and all("127.0.0.1" in address for address in listening)


@each_base
def test_every_pipeline_begins_with_the_memory_limiter(base: str) -> None:
    pipelines = read(base)["service"]["pipelines"]
    assert [
        name for name, pipeline in pipelines.items() if pipeline.get("processors", ["-"])[0] != "memory_limiter"
    ] == ["metrics"] * (base == "gateway")


@each_file
def test_every_component_is_in_the_builders_recipe(file: Path) -> None:
    recipe = (FOLDER / "builder.yaml").read_text(encoding="utf-8").replace("/", "")
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    kinds = ("receivers", "processors", "exporters", "connectors", "extensions")
    used = {name.partition("/")[0] for kind in kinds for name in document.get(kind, {})}
    modules = {"otlp": "otlpreceiver", "otlp_http": "otlphttpexporter", "bearertokenauth": "bearertokenauthextension"}
    assert not [name for name in used if modules.get(name, name.replace("_", "")) not in recipe]


@each_file
def test_the_head_of_the_file_names_every_variable(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert not [name for name in set(re.findall(r"\$\{env:(\w+)", text)) if name not in head]


@each_file
def test_secrets_come_from_the_environment(file: Path) -> None:
    secret = re.compile(r"\b(token|password|authorization|key_file):\s*(.*)", re.IGNORECASE)
    said = [match[2] for line in setting_lines(file) if (match := secret.search(line))]
    assert not [value for value in said if "${env:" not in value]


def test_both_tiers_redact_alike() -> None:
    agent, gateway = read("agent")["processors"], read("gateway")["processors"]
    assert (agent["redaction"], agent["transform"]) == (gateway["redaction"], gateway["transform"])
    assert read("agent")["service"]["pipelines"]["traces"]["processors"][-2:] == ["redaction", "transform"]
    assert read("gateway")["service"]["pipelines"]["traces"]["processors"][-2:] == ["redaction", "transform"]


def test_flows_are_measured_before_they_are_sampled() -> None:
    pipelines = read("gateway")["service"]["pipelines"]
    assert pipelines["traces/measure"]["processors"] == ["memory_limiter"]
    assert pipelines["traces"]["processors"][1] == "tail_sampling"


def test_the_sampling_waits_and_remembers() -> None:
    sampling = read("gateway")["processors"]["tail_sampling"]
    assert {policy["name"] for policy in sampling["policies"]} == {
        "failed",
        "denied-cancelled-or-failed",
        "watched",
        "slow",
        "some-of-the-rest",
    }
    assert all(sampling["decision_cache"].values())


@pytest.mark.parametrize(
    "names",
    [(base,) for base in BASES]
    + [(base, overlay) for overlay in OVERLAYS for base in BASES if overlay.startswith((base, "to-"))],
    ids="+".join,
)
def test_spans_wait_on_disk_and_are_never_given_up(names: tuple[str, ...]) -> None:
    document = read(*names)
    used = {name for pipeline in document["service"]["pipelines"].values() for name in pipeline["exporters"]}
    for name in used - {"span_metrics", "prometheus", "nop"}:
        exporter = document["exporters"][name]
        assert exporter["sending_queue"]["storage"] == "file_storage", name
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s", name
    assert {"file_storage", "health_check"} <= set(document["service"]["extensions"])
    assert document["extensions"]["file_storage"]["fsync"] is True
    assert document["service"]["telemetry"]["metrics"]["readers"]


def test_the_compose_file_starts_every_tier_with_files_that_are_here() -> None:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    assert {"agent", "gateway-1", "gateway-2", "jaeger", "viewer", "redis", "postgres"} <= set(services)
    for name, service in services.items():
        for file in re.findall(r"--config=/etc/otelcol/(\S+)", " ".join(service.get("command", []))):
            assert (FOLDER / file).exists(), (name, file)
        used = [
            FOLDER / file for file in re.findall(r"--config=/etc/otelcol/(\S+)", " ".join(service.get("command", [])))
        ]
        required = {v for file in used for v in re.findall(r"\$\{env:(\w+)\}", file.read_text(encoding="utf-8"))}
        assert required <= set(service.get("environment", {})), name
