"""Services, operations and calls between services, as Jaeger's page and Grafana ask for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, part, span
from tests.support.people import ADMIN, VIEWER_7, VIEWER_8, WATCHES_NOBODY_KNOWN, ask, write_tokens
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store
from tests.viewer_api.test_statistics_counting import NOW, NOW_NS, count_all

BEGAN = NOW_NS - 1800 * 1000 * MS
SEVEN, EIGHT = Identity("7", session_id="s-1"), Identity("8", session_id="s-2")


def step(number: int, name: str, kind: str = "internal", parent: int | None = None) -> Event:
    start = BEGAN + number * MS
    return span(number, parent, name=name, kind=kind, start_ns=start, end_ns=start + MS)


def told(flow: int, service: str, identity: Identity, *spans: Event) -> FlowPart:
    about = b'{"resource":{"attributes":{"service.name":"%s"}}}' % service.encode()
    return replace(part(flow, list(spans), process=service, identity=identity), process=about)


@pytest.fixture
def traced(make_viewer: MakeViewer, store: Store, postgres_dsn: str, tmp_path: Path) -> RunningViewer:
    """A gateway that calls an index twice, for user 7; a batch job of user 8."""
    tokens = write_tokens(tmp_path / "tokens.toml", ADMIN, VIEWER_7, VIEWER_8, WATCHES_NOBODY_KNOWN)
    viewer = make_viewer(viewer_tokens_file=str(tokens))
    root = step(1, "POST /ask", "server")
    store(told(1, "gateway", SEVEN, root, step(2, "search", "client", 1), step(3, "think", parent=1)))
    store(told(1, "a/b index", SEVEN, step(4, "search", "server", 2), step(5, "search", "server", 2)))
    store(told(2, "batch", EIGHT, step(1, "nightly", "unspecified"), step(2, "nightly", "producer", 1)))
    count_all(postgres_dsn, NOW)
    return viewer


def read(viewer: RunningViewer, path: str, **params: Any) -> Any:
    answer = ask(viewer, ADMIN, "GET", path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", ["", "/jaeger"])
def test_services_and_operations_are_listed_for_both_versions(traced: RunningViewer, prefix: str) -> None:
    services = ["a/b index", "batch", "gateway"]
    assert read(traced, f"{prefix}/api/services") == {
        "data": services,
        "total": 3,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }
    assert read(traced, f"{prefix}/api/v3/services") == {"services": services}
    # Grafana does not encode the name.
    assert read(traced, f"{prefix}/api/services/a/b index/operations")["data"] == ["search"]
    assert read(traced, f"{prefix}/api/services/batch/operations")["data"] == ["nightly"]
    assert read(traced, f"{prefix}/api/operations", service="gateway")["data"] == [
        {"name": "POST /ask", "spanKind": "server"},
        {"name": "search", "spanKind": "client"},
        {"name": "think", "spanKind": "internal"},
    ]
    client = read(traced, f"{prefix}/api/operations", service="gateway", spanKind="client")
    assert client["data"] == [{"name": "search", "spanKind": "client"}]
    assert read(traced, f"{prefix}/api/operations", service="batch")["data"] == [
        {"name": "nightly", "spanKind": ""},
        {"name": "nightly", "spanKind": "producer"},
    ]
    assert read(traced, f"{prefix}/api/v3/operations", service="batch", spanKind="internal") == {
        "operations": [{"name": "nightly", "spanKind": "internal"}]
    }
    assert read(traced, f"{prefix}/api/v3/operations", service="unknown") == {"operations": []}


def test_calls_between_services_are_counted_span_by_span(traced: RunningViewer) -> None:
    end = NOW_NS // MS
    calls = [{"parent": "gateway", "child": "a/b index", "callCount": 2}]
    assert read(traced, "/api/dependencies", endTs=end, lookback=3_600_000)["data"] == calls
    assert read(traced, "/api/dependencies", endTs=end, lookback=3_600_000, service="gateway")["data"] == calls
    assert read(traced, "/api/dependencies", endTs=end, service="batch")["data"] == []
    assert read(traced, "/api/dependencies", endTs=end - 86_400_000, lookback=60_000)["data"] == []


def test_everybody_sees_the_services_of_those_whom_they_may_see(traced: RunningViewer) -> None:
    def services(person: Any) -> list[str]:
        return ask(traced, person, "GET", "/api/services").json()["data"]  # type: ignore[no-any-return]

    assert services(VIEWER_7) == ["a/b index", "gateway"]
    assert services(VIEWER_8) == ["batch"]
    assert services(WATCHES_NOBODY_KNOWN) == []
    assert ask(traced, VIEWER_8, "GET", "/api/v3/operations", params={"service": "gateway"}).json() == {
        "operations": []
    }
    end = NOW_NS // MS
    hidden = ask(traced, VIEWER_8, "GET", "/api/dependencies", params={"endTs": end})
    shown = ask(traced, VIEWER_7, "GET", "/api/dependencies", params={"endTs": end})
    assert (hidden.json()["data"], len(shown.json()["data"])) == ([], 1)
    assert traced.stranger.get("/api/services").status_code == 401


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/operations", "parameter 'service' is required"),
        (
            "/api/dependencies?endTs=soon",
            "unable to parse param 'endTs': strconv.ParseInt: parsing \"soon\": invalid syntax",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_in_the_form_of_jaeger(viewer: RunningViewer, path: str, message: str) -> None:
    answer = viewer.http.get(path)
    assert (answer.status_code, answer.json()["errors"]) == (400, [{"code": 400, "msg": message}])
    newer = viewer.http.get("/api/v3/operations")
    assert (newer.status_code, newer.json()["error"]["httpCode"]) == (400, 400)
