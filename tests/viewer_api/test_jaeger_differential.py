"""The same spans in a real Jaeger and in a viewer: every query has the same answer, but for what is written in
docs/jaeger-api.md."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.go_tools import jaeger
from tests.support.jaeger_server import RunningJaeger, running_jaeger
from tests.support.otlp_client import MS, send
from tests.support.poll import eventually
from tests.support.random_traces import Corpus, RandomTraces
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_statistics_counting import NOW, NOW_NS, count_all

TRACES: Final = 60
SEARCHES: Final = 80
BEGAN: Final = NOW_NS - 1800 * 1000 * MS
WARNINGS: Final = "@jaeger@warnings"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJaeger]:
    with running_jaeger(jaeger(), tmp_path_factory.mktemp("jaeger")) as running:
        yield running


@dataclass(frozen=True)
class Pair:
    """Both have been sent the same."""

    real: httpx.Client
    ours: httpx.Client
    dsn: str

    def ask(self, path: str, **params: Any) -> tuple[httpx.Response, httpx.Response]:
        return self.real.get(path, params=params), self.ours.get(path, params=params)

    def data(self, path: str, **params: Any) -> tuple[Any, Any]:
        """What both answer; the envelope is the same."""
        theirs, own = self.ask(path, **params)
        assert (theirs.status_code, own.status_code) == (200, 200), (theirs.text, own.text)
        there, here = theirs.json(), own.json()
        assert {**there, "data": None} == {**here, "data": None}
        return there["data"], here["data"]


@pytest.fixture
def pair(real: RunningJaeger, make_viewer: MakeViewer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("SPANFLOW_FLOW_GRACE", "0.2")
    monkeypatch.setenv("SPANFLOW_CONTENT", "full")
    viewer = make_viewer()
    with httpx.Client(base_url=real.query, timeout=15) as client:
        yield Pair(client, viewer.http, postgres_dsn)


def sent(pair: Pair, real: RunningJaeger, seed: int) -> tuple[RandomTraces, Corpus]:
    """Random traces, in both and stored."""
    traces = RandomTraces(seed, f"s{seed}", BEGAN)
    corpus = traces.corpus(TRACES)
    with httpx.Client(base_url=real.otlp, timeout=15) as otlp:
        for request in corpus.requests:
            body = request.SerializeToString()
            assert send(otlp, body).status_code == send(pair.ours, body).status_code == 200
    spans = {trace_id: len({each.span.span_id for each in corpus.spans if each.span.trace_id.hex() == trace_id}) for trace_id in corpus.trace_ids}
    rest = set(spans)

    def stored() -> bool:
        for trace_id in sorted(rest):
            flow = pair.ours.get(f"/api/v1/flows/{trace_id}/flat")
            if flow.status_code != 200 or len(flow.json()["spans"]) < spans[trace_id] or flow.json()["open"]:
                return False
            rest.discard(trace_id)
        return True

    eventually(stored, within=60)
    count_all(pair.dsn, NOW)
    return traces, corpus


def plain_v1(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """A trace's spans with their processes, in no order and without Jaeger's warnings."""
    shown = []
    for span in trace["spans"]:
        process = trace["processes"][span["processID"]]
        shown.append(
            {
                **{key: value for key, value in span.items() if key not in ("processID", "warnings")},
                "tags": in_order(span["tags"]),
                "logs": in_order([{**log, "fields": in_order(log["fields"])} for log in span["logs"]]),
                "process": {**process, "tags": in_order(process["tags"])},
            }
        )
    return in_order(shown)


def plain_v3(answer: dict[str, Any]) -> list[Any]:
    """The spans of OTLP's JSON, each with its resource and scope; attributes are maps."""
    shown = []
    for group in answer["result"]["resourceSpans"]:
        for scoped in group["scopeSpans"]:
            for span in scoped.get("spans", ()):
                shown.append(unordered({"resource": group["resource"], "scope": scoped["scope"], **span}))
    return in_order(shown)


def unordered(value: Any) -> Any:
    if isinstance(value, dict):
        shown = {key: unordered(member) for key, member in value.items()}
        for key in ("attributes", "values", "events"):
            if shown.get(key) and all(isinstance(each, dict) and ("key" in each or key == "events") for each in shown[key]):
                shown[key] = in_order([each for each in shown[key] if each.get("key") != WARNINGS])
        return {key: member for key, member in shown.items() if member not in ([], {})}
    return [unordered(member) for member in value] if isinstance(value, list) else value


def in_order(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_query_has_the_answer_of_a_real_jaeger(pair: Pair, real: RunningJaeger, seed: int) -> None:
    traces, corpus = sent(pair, real, seed)
    for trace_id in corpus.trace_ids:
        [theirs], [own] = pair.data(f"/api/traces/{trace_id}")
        assert plain_v1(own) == plain_v1(theirs), trace_id
        there, here = pair.ask(f"/api/v3/traces/{trace_id}")
        assert plain_v3(here.json()) == plain_v3(there.json()), trace_id
