"""The OTLP/gRPC exporter of OpenTelemetry's own SDK against the viewer, from a process and packages of its own:
where that exporter is installed, OpenTelemetry exports by gRPC unless told otherwise."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.ports import free_port
from tests.support.real_gateways import programs_of
from tests.support.viewer_server import TOKEN
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_operations import number
from tests.viewer_api.test_otlp import flat

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("grpc_poller", "short_grace")]


@pytest.fixture(scope="module")
def python() -> Path:
    return programs_of("otlp_grpc") / "python"


class Exporting:
    """A child that exports one trace of three spans."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path, complained: Path) -> None:
        self._process, self._said, self._complained = process, said, complained

    def results(self) -> tuple[str, list[str]]:
        """The trace id and what became of each export, once it has ended."""
        assert self._process.wait(timeout=90) == 0, self.complaints
        trace_id, *results = self._said.read_text().splitlines()
        return trace_id, results

    @property
    def complaints(self) -> str:
        return self._complained.read_text()


@contextmanager
def exporting(
    python: Path, folder: Path, port: int, *words: str, token: str = TOKEN, **more: str
) -> Iterator[Exporting]:
    said, complained = folder / "said", folder / "complained"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "60",
        **more,
    }
    with said.open("wb") as out, complained.open("wb") as errors:
        process = subprocess.Popen(
            [str(python), "-m", "tests.gateways.programs.grpc_exporter", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), **environment},
        )
    try:
        yield Exporting(process, said, complained)
    finally:
        process.kill()
        process.wait()


TREE = [
    "POST /chat: span, server {}",
    "  chat gpt-5: llm_thinking, client "
    "{'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-5', 'gen_ai.usage.input_tokens': 11}",
    "  execute_tool search: tool_call, internal "
    "{'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'search'}",
]


def tree(shown: dict[str, Any]) -> list[str]:
    return [
        f"{'  ' * one['depth']}{one['name']}: {one['event_type']}, {one['kind']} {one.get('attributes', {})}"
        for one in shown["spans"]
    ]


@pytest.mark.parametrize("compression", [{}, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}], ids=["plain", "gzip"])
def test_spans_and_log_records_of_the_sdk_arrive(
    make_viewer: MakeViewer, store: Store, python: Path, tmp_path: Path, compression: dict[str, str]
) -> None:
    port = free_port()
    viewer = make_viewer(viewer_otlp_grpc_port=port)
    with exporting(python, tmp_path, port, "logs", **compression) as child:
        trace_id, results = child.results()
    assert (results, child.complaints) == (["3 spans SUCCESS"], "")
    shown = flat(viewer, trace_id)
    assert tree(shown) == TREE
    logs = [(one["name"], log["name"], log["attributes"]) for one in shown["spans"] for log in one.get("logs", ())]
    judged = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 0.5}
    assert logs == [("chat gpt-5", "gen_ai.evaluation.result", judged)]
    assert number(viewer, "otlp_spans_accepted_total") == 3


def test_a_wrong_token_is_a_failure_that_the_exporter_tells(
    make_viewer: MakeViewer, store: Store, python: Path, tmp_path: Path
) -> None:
    port = free_port()
    viewer = make_viewer(viewer_otlp_grpc_port=port)
    with exporting(python, tmp_path, port, token="a-wrong-token-0123456789") as child:
        trace_id, results = child.results()
    assert results == ["3 spans FAILURE"]
    assert "StatusCode.UNAUTHENTICATED" in child.complaints
    assert viewer.http.get(f"/api/v1/flows/{trace_id}").status_code == 404
    assert number(viewer, "otlp_spans_accepted_total") in (None, 0)


def test_spans_made_while_the_viewer_is_away_arrive_once_when_it_is_back(
    make_viewer: MakeViewer, store: Store, python: Path, tmp_path: Path
) -> None:
    port = free_port()
    with exporting(python, tmp_path, port) as child:
        eventually(lambda: "StatusCode.UNAVAILABLE" in child.complaints, within=30)
        viewer = make_viewer(viewer_otlp_grpc_port=port)
        trace_id, results = child.results()
    assert results == ["3 spans SUCCESS"]
    assert tree(flat(viewer, trace_id)) == TREE
    assert number(viewer, "otlp_spans_accepted_total") == 3
