"""Tempo's query API, as Grafana's data source asks it, over flows of ours."""

import base64
import time
from collections.abc import Mapping
from typing import Any

import httpx
from hypothesis import example, given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from spanflow.viewer_api.auth.token_file import digest
from spanflow.viewer_api.tempo.safe_pattern import BadPattern, SafePattern
from spanflow.viewer_api.tempo.traceql import BadTraceQL, parse
from tests.support.flow_parts import NOON, part
from tests.support.flow_parts import span as own_span
from tests.support.otlp_client import START_NS
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store
from tests.viewer_api.test_jaeger import ID, sent, short_grace

__all__ = ["sent", "short_grace"]
S = START_NS // 1_000_000_000
WINDOW: Mapping[str, Any] = {"start": S - 1, "end": S + 1}


def search(viewer: RunningViewer, q: str, **query: Any) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = viewer.get("/tempo/api/search", params={"q": q, **WINDOW, **query})["traces"]
    return traces


def found(viewer: RunningViewer, q: str, **query: Any) -> list[str]:
    """The names of the spans that match."""
    return [span["name"] for trace in search(viewer, q, **query) for span in trace["spanSets"][0]["spans"]]


def test_the_data_source_finds_it_well(viewer: RunningViewer) -> None:
    assert viewer.http.get("/tempo/api/echo").text == "echo"
    assert viewer.get("/tempo/api/status/buildinfo")["version"] == "2.1.0"
    assert viewer.stranger.get("/tempo/api/echo").status_code == 401


def test_a_search_lists_traces_with_the_spans_that_match(sent: RunningViewer) -> None:
    assert search(sent, '{resource.service.name="index" && status=error}') == snapshot(
        [
            {
                "traceID": "11112222333344445555666677778888",
                "rootServiceName": "router",
                "rootTraceName": "POST /chat",
                "startTimeUnixNano": "1767700800000000000",
                "durationMs": 50,
                "spanSet": {
                    "spans": [
                        {
                            "spanID": "0000000000000002",
                            "name": "search",
                            "startTimeUnixNano": "1767700800005000000",
                            "durationNanos": "7000000",
                            "attributes": [
                                {"key": "service.name", "value": {"stringValue": "index"}},
                                {"key": "status", "value": {"stringValue": "error"}},
                            ],
                        }
                    ],
                    "matched": 1,
                },
                "spanSets": [
                    {
                        "spans": [
                            {
                                "spanID": "0000000000000002",
                                "name": "search",
                                "startTimeUnixNano": "1767700800005000000",
                                "durationNanos": "7000000",
                                "attributes": [
                                    {"key": "service.name", "value": {"stringValue": "index"}},
                                    {"key": "status", "value": {"stringValue": "error"}},
                                ],
                            }
                        ],
                        "matched": 1,
                    }
                ],
                "serviceStats": {
                    "router": {"spanCount": 1, "errorCount": 0},
                    "index": {"spanCount": 1, "errorCount": 1},
                },
            }
        ]
    )


BOTH = ["POST /chat", "search"]


FOUND: Mapping[str, list[str]] = dict(
    [
        ("{}", BOTH),
        ("{ true }", BOTH),
        ('{name="search"}', ["search"]),
        ('{name!="search"}', ["POST /chat"]),
        ("{name=~`POST.*|nothing`}", ["POST /chat"]),
        ('{name!~"sea.ch"}', ["POST /chat"]),
        ('{name=~"earc"}', []),
        ('{name=""}', []),
        ("{span.http.response.status_code=200}", ["POST /chat"]),
        ("{.http.response.status_code>=200 && .http.response.status_code<300.5}", ["POST /chat"]),
        ('{span.http.response.status_code="200"}', []),
        ('{resource.k8s.pod.name="router-1"}', ["POST /chat"]),
        ('{.k8s.pod.name="router-1"}', ["POST /chat"]),
        ('{span.k8s.pod.name="router-1"}', []),
        ('{span."user.id"="7"}', ["POST /chat"]),
        ("{.user.id=nil}", ["search"]),
        ("{.user.id!=nil}", ["POST /chat"]),
        ('{.absent!="x"}', []),
        ("{kind=client}", ["search"]),
        ("{span:kind!=client}", ["POST /chat"]),
        ("{status=unset}", ["POST /chat"]),
        ('{statusMessage="no index"}', ["search"]),
        ("{duration>7ms}", ["POST /chat"]),
        ("{duration<=7ms}", ["search"]),
        ("{traceDuration=50ms}", BOTH),
        ('{rootName="POST /chat" && rootServiceName="router" && name="search"}', ["search"]),
        ('{trace:rootService="router" && (name="search" || name="x") && status!=ok}', ["search"]),
        ('{event:name="retry"}', ["search"]),
        ('{instrumentation:name="index.client"}', ["search"]),
        (f'{{trace:id="{ID}" && span:id="0000000000000002"}}', ["search"]),
        ('{span:parentID="0000000000000001"}', ["search"]),
        # Of one span, all of it; `||` binds less than `&&`.
        ('{name="POST /chat" && status=error}', []),
        ('{name="x" && status=error || kind=server}', ["POST /chat"]),
        ('{name="x" && (status=error || kind=server)}', []),
    ]
)


def test_spans_are_found_by_what_grafana_asks(sent: RunningViewer) -> None:
    assert {q: found(sent, q) for q in FOUND} == FOUND


def test_a_search_has_a_time_and_limits(sent: RunningViewer) -> None:
    assert found(sent, "{}", spss=1) == ["POST /chat"]
    assert search(sent, "{}", start=S + 5, end=S + 6) == search(sent, "{}", start=S - 6, end=S - 5) == []
    assert sent.get("/tempo/api/search", params={"q": "{}"})["traces"] == []  # what came lately


def test_a_search_by_tags_finds_parts_of_texts(sent: RunningViewer) -> None:
    def by(tags: str, **query: Any) -> int:
        return len(sent.get("/tempo/api/search", params={"tags": tags, **WINDOW, **query})["traces"])

    assert by("service.name=ROUT") == by('name="post /chat" user.id=7') == by("", minDuration="50ms") == 1
    assert by("service.name=elsewhere") == by("", minDuration="51ms") == by("name=POST", maxDuration="1ms") == 0


REFUSED = [
    ("{name=", "it ends too early"),
    ("name", "expected '{', not 'name'"),
    ('{name="x"} | rate()', "without pipelines, metrics and structural operators"),
    ('{name="x"} >> {}', "without pipelines, metrics and structural operators"),
    ("{nestedSetParent<0}", "'nestedSetParent' is no field that is known here"),
    ("{.a = .b}", "expected a value, not '.b'"),
    ("{.a}", "expected an operator"),
    ('{name=~"(a+)+$"}', "of regular expressions these parts are supported"),
    ('{name=~"a*b*c*d"}', "of regular expressions these parts are supported"),
    ("{name=~`(?=x)`}", "of regular expressions these parts are supported"),
    ("{(((((((((((((((((((((((((name=`x`)))))))))))))))))))))))))}", "parentheses may be nested 20 deep"),
]


def test_what_is_not_understood_is_refused_clearly(viewer: RunningViewer) -> None:
    for q, why in REFUSED:
        answer = viewer.http.get("/tempo/api/search", params={"q": q})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
        assert answer.text.startswith("invalid TraceQL query: ")
        assert why in answer.text


def test_other_parts_of_the_api_are_not_there(viewer: RunningViewer) -> None:
    assert viewer.http.get("/tempo/api/metrics/query_range", params={"q": "{} | rate()"}).status_code == 404
    assert viewer.http.get("/tempo/api/traces/x").status_code == 400
    assert viewer.http.get("/tempo/api/search?limit=many").status_code == 400
    missing = viewer.http.get("/tempo/api/v2/traces/7")
    assert (missing.status_code, missing.text) == (404, "trace not found")


def test_a_trace_is_read_as_protobuf_in_both_versions(sent: RunningViewer) -> None:
    accept = {"Accept": "application/protobuf"}
    bare = sent.http.get(f"/tempo/api/traces/{ID}?start=1&end=2", headers=accept)
    wrapped = sent.http.get(f"/tempo/api/v2/traces/{ID}", headers=accept)
    assert bare.headers["content-type"] == wrapped.headers["content-type"] == "application/protobuf"
    # The field `trace` of a message, with its length.
    size = len(bare.content)
    assert wrapped.content == bytes([0x0A, size & 0x7F | 0x80, size >> 7]) + bare.content
    data = TracesData.FromString(bare.content)
    spans = [span for group in data.resource_spans for scope in group.scope_spans for span in scope.spans]
    assert [(span.name, span.trace_id.hex(), span.span_id.hex()) for span in spans] == [
        ("POST /chat", ID, "0000000000000001"),
        ("search", ID, "0000000000000002"),
    ]
    assert (spans[1].status.code, spans[1].status.message, spans[1].links[0].span_id[-1]) == (2, "no index", 7)


def test_a_trace_is_read_as_json_in_both_versions(sent: RunningViewer) -> None:
    batches = sent.get(f"/tempo/api/traces/{ID}")["batches"]
    assert sent.get(f"/tempo/api/v2/traces/{ID}") == {"trace": {"resourceSpans": batches}}
    [failed] = batches[1]["scopeSpans"][0]["spans"]
    assert base64.b64decode(failed["traceId"]).hex() == ID
    assert (failed["kind"], failed["status"]["code"]) == ("SPAN_KIND_CLIENT", "STATUS_CODE_ERROR")


def test_tags_are_named_by_scope(sent: RunningViewer) -> None:
    scopes = {each["name"]: each["tags"] for each in sent.get("/tempo/api/v2/search/tags", params=WINDOW)["scopes"]}
    assert scopes["span"] == ["http.response.status_code", "user.id"]
    assert scopes["resource"] == ["k8s.pod.name", "service.name"]
    assert {"name", "status", "kind", "duration", "rootServiceName"} <= set(scopes["intrinsic"])
    only = sent.get("/tempo/api/v2/search/tags", params={**WINDOW, "scope": "resource"})
    assert only == {"scopes": [{"name": "resource", "tags": ["k8s.pod.name", "service.name"]}]}
    names = sent.get("/tempo/api/search/tags", params=WINDOW)["tagNames"]
    assert {"user.id", "service.name", "status"} <= set(names)
    assert sent.http.get("/tempo/api/v2/search/tags?scope=x").status_code == 400


def test_tags_have_values_with_types(sent: RunningViewer) -> None:
    def values(tag: str, **query: Any) -> list[tuple[str, str]]:
        answer = sent.get(f"/tempo/api/v2/search/tag/{tag}/values", params={**WINDOW, **query})
        return [(each["type"], each["value"]) for each in answer["tagValues"]]

    assert values("span.http.response.status_code") == [("int", "200")]
    assert values("status") == [("keyword", "error"), ("keyword", "ok"), ("keyword", "unset")]
    assert values("resource.k8s.pod.name") == values(".k8s.pod.name") == [("string", "router-1")]
    assert values("resource%252Ek8s.pod.name") == [("string", "router-1")]
    assert values("name", q="{status=error}") == [("string", "search")]
    assert values("name", q="{status=error && }") == values("name")
    assert values("resource.service.name", q="{status=error}") == [("string", "index")]
    assert values("duration") == [("duration", "50000000ns"), ("duration", "7000000ns")]
    old = sent.get("/tempo/api/search/tag/k8s.pod.name/values", params=WINDOW)
    assert old == {"tagValues": ["router-1"]}


def test_services_and_names_are_those_of_a_month(sent: RunningViewer) -> None:
    """Counted, and not read from the newest flows."""

    def services() -> list[str]:
        answer = sent.get("/tempo/api/v2/search/tag/resource.service.name/values")
        return [each["value"] for each in answer["tagValues"]]

    store_services = sent.get("/jaeger/api/services")["data"]
    assert services() == store_services
    names = sent.get("/tempo/api/v2/search/tag/name/values")["tagValues"]
    assert [each["type"] for each in names] == ["string"] * len(names)


def test_a_trace_that_runs_is_found(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.start("root", name="POST /ask")
    now = int(time.time())
    asked = {"q": '{name="POST /ask"}', "start": now - 3600, "end": now + 3600}
    [trace] = eventually(lambda: viewer.get("/tempo/api/search", params=asked)["traces"])
    assert (trace["traceID"], trace["rootTraceName"]) == (flow.flow_id, "POST /ask")
    assert viewer.get(f"/tempo/api/traces/{flow.flow_id}")["batches"]


def test_nobody_finds_a_trace_of_somebody_else(make_viewer: MakeViewer, store: Store, tmp_path: Any) -> None:
    tokens, token = tmp_path / "tokens.toml", "a-token-of-somebody-with-id-eight-1"
    tokens.write_text(
        f'[[token]]\nname = "neo"\nrole = "viewer"\nuser_id = "8"\nhash = "sha256:{digest(token).hex()}"\n'
    )
    tokens.chmod(0o600)
    viewer = make_viewer(viewer_tokens_file=str(tokens))
    store(part(0xABC, [own_span(1, attributes={"of.user.seven": "secret"})]))
    noon = NOON // 1_000_000_000
    asked: dict[str, Any] = {"q": "{}", "start": noon - 10, "end": noon + 10}
    assert len(viewer.get("/tempo/api/search", params=asked)["traces"]) == 1
    assert "of.user.seven" in viewer.http.get("/tempo/api/v2/search/tags", params=asked).text
    with httpx.Client(base_url=viewer.origin, headers={"Authorization": f"Bearer {token}"}) as neo:
        assert neo.get("/tempo/api/traces/abc").status_code == neo.get("/tempo/api/v2/traces/abc").status_code == 404
        assert neo.get("/tempo/api/search", params=asked).json()["traces"] == []
        assert "of.user.seven" not in neo.get("/tempo/api/v2/search/tags", params=asked).text
        values = neo.get("/tempo/api/v2/search/tag/.of.user.seven/values", params=asked)
        assert values.json() == {"tagValues": []}
    entries = viewer.get("/api/v1/audit?limit=20")["entries"]
    assert {(entry["actor"], entry["action"]) for entry in entries} >= {("neo", "denied"), ("operator", "flows_listed")}


@given(st.text(alphabet='{}()=~!<>&|"`.\\ 019ansmeusptrkid:é', max_size=40))
@example("{name=`" + "(" * 5000)
@example("{" + "(" * 5000)
@example('{name=~"' + "a|" * 2000 + '"}')
def test_no_text_breaks_the_parser(text: str) -> None:
    for query in (text, f"{{name={text}}}", f"{{{text}}}"):
        try:
            parse(query)
        except BadTraceQL as why:
            assert str(why)


@given(st.text(alphabet="ab.*+?|[]^$\\()", max_size=12), st.text(alphabet="ab", max_size=1100))
@example(".*a.*", "b" * 1024)
@example("[ab]*[ab]*", "a" * 1023 + "c")
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    try:
        safe = SafePattern(pattern)
    except BadPattern:
        return
    begun = time.thread_time()
    safe.matches(text)
    assert time.thread_time() - begun < 0.25
