"""Statistics, exports, playback, erasure, previews, comparisons and Jaeger's routes, attacked by strangers and by the
lowest role."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import strategies as st

from tests.support import fuzzing
from tests.support.flow_parts import part, span
from tests.support.people import ADMIN, PEOPLE, VIEWER_8, Person, flow_id, what_two_users_did, write_tokens
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

#: A flow of user 7, one of user 8, and one that is not there: all as long as Jaeger's clients are shown them.
SEVEN, EIGHT, NONE = flow_id(1), flow_id(2), "0" * 16 + "e" * 16
RANGE: Final = "since=2026-01-05&until=2026-01-12"
V3: Final = "query.serviceName=s&query.startTimeMin=2026-01-05T00:00:00Z&query.startTimeMax=2026-01-12T00:00:00Z"
FORMATS: Final = ("json", "jsonl", "csv", "otlp", "jaeger", "chrome", "markdown", "html")
#: `{flow}`, `{user}`, `{session}` and `{conversation}` stand for whose it is.
READS: Final = (
    f"/api/v1/statistics/steps?user_id={{user}}&{RANGE}",
    f"/api/v1/statistics/flows?group_by=user&user_id={{user}}&{RANGE}",
    f"/api/v1/statistics/funnel?session_id={{session}}&{RANGE}",
    *(f"/api/v1/flows/{{flow}}/export?format={name}" for name in FORMATS),
    *(f"/api/v1/export?user_id={{user}}&format={name}" for name in FORMATS[:-1]),
    "/api/v1/export?session_id={session}",
    "/api/v1/export?after={flow}",
    "/api/v1/playback?flow_id={flow}",
    "/api/v1/playback?user_id={user}",
    "/api/v1/playback?conversation_id={conversation}",
    "/api/v1/flows/previews?flow_id={flow}",
    "/api/v1/flows/{flow}/usual",
    "/api/v1/flows/compare?a={flow}&b={flow}",
    f"/api/v1/flows/compare?a={EIGHT}&b={{flow}}",
    "/api/v1/flows/differences?a.user_id={user}&b.user_id=8",
    f"/api/v1/flows/differences?a.session_id={{session}}&b.outcome=error&{RANGE}",
    "/api/v1/users/{user}/data",
    "/api/traces/{flow}",
    "/jaeger/api/traces/{flow}",
    "/api/traces?traceID={flow}",
    "/jaeger/api/traces?traceID={flow}&traceID={flow}",
    "/api/v3/traces/{flow}",
    "/jaeger/api/v3/traces/{flow}",
    "/api/traces?service=s&tag=flow.session_id:{session}&start=0",
    f"/jaeger/api/v3/traces?{V3}",
    f"/api/v3/trace-summaries?{V3}",
    "/api/services",
    "/jaeger/api/services/s/operations",
    "/jaeger/api/operations?service=s",
    "/api/dependencies?endTs=1767700800000&lookback=86400000",
    "/api/v3/services",
    "/jaeger/api/v3/operations?service=s",
)


def named(path: str, flow: str, user: str) -> str:
    return path.format(flow=flow, user=user, session=f"s-{user}", conversation=f"c-{user}")


@pytest.fixture
def viewer(make_viewer: MakeViewer, store: Store, tmp_path: Path) -> RunningViewer:
    viewer = make_viewer(
        viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)),
        viewer_requests_per_second=10_000.0,
        viewer_max_range_days=10_000,
    )
    store(*what_two_users_did())
    return viewer


@pytest.fixture
def eight(viewer: RunningViewer) -> Iterator[httpx.Client]:
    with by(viewer, VIEWER_8) as client:
        yield client


@pytest.fixture
def admin(viewer: RunningViewer) -> Iterator[httpx.Client]:
    with by(viewer, ADMIN) as client:
        yield client


def by(viewer: RunningViewer, person: Person) -> httpx.Client:
    return httpx.Client(base_url=viewer.origin, headers=person.bearer, timeout=20)


class Audit:
    """What was written since the last look."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._seen = 0

    def new(self) -> list[dict[str, Any]]:
        asked = "SELECT id, actor, action, target_user, target, outcome, detail FROM omni2.audit_log ORDER BY id"
        rows = [row for row in query(self._dsn, asked) if row["id"] > self._seen]
        self._seen = max([self._seen, *(row["id"] for row in rows)])
        return [{name: value for name, value in row.items() if name != "id"} for row in rows]


@pytest.fixture
def audit(postgres_dsn: str) -> Audit:
    return Audit(postgres_dsn)


#: Equal reads within a minute are one row; with another reason they are not equal.
reasons = ({"X-Spanflow-Reason": f"attack {number}"} for number in count())


def test_a_stranger_is_told_nothing_and_leaves_no_row(viewer: RunningViewer, audit: Audit) -> None:
    for path in READS:
        for user, flow in (("7", SEVEN), ("99", NONE)):
            answer = viewer.stranger.get(named(path, flow, user))
            assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), path
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND"):
        for path in READS:
            answer = viewer.stranger.request(method, named(path, SEVEN, "7"))
            assert answer.status_code in (400, 401, 405), (method, path)
            assert "secret of" not in answer.text
    assert audit.new() == []


def test_what_is_not_theirs_is_like_what_is_not_there(eight: httpx.Client, audit: Audit) -> None:
    """In status, headers, body and audit log, but for the id that was asked for."""
    for path in READS:
        told = []
        for user, flow in (("7", SEVEN), ("99", NONE)):
            answer = eight.get(named(path, flow, user), headers=next(reasons))
            assert answer.status_code in (200, 403, 404), (path, answer.text)
            rows = json.dumps([{**row, "detail": str(row["detail"])} for row in audit.new()], default=str)
            headers = {name: value for name, value in answer.headers.items() if name != "date"}
            whole = json.dumps([answer.status_code, answer.text, headers, rows])
            for word in (
                flow,
                f"s-{user}",
                f"c-{user}",
                f'"{user}"',
                f'\\"{user}\\"',
                f"user_id={user}",
                f"'{user}'",
                f"/{user}/data",
            ):
                whole = whole.replace(word, "…")
            told.append(whole.replace(flow.lstrip("0").rjust(16, "0"), "…"))
            assert "secret of 7" not in answer.text
        assert told[0] == told[1], path


def test_their_own_is_shown_and_nothing_of_the_others_beside_it(eight: httpx.Client) -> None:
    shown = 0
    for path in READS:
        answer = eight.get(named(path, EIGHT, "8"))
        assert answer.status_code in (200, 403 if path.endswith("/data") else 404, 200), (path, answer.text)
        assert "secret of 7" not in answer.text and '"user_id":7' not in answer.text, path
        shown += answer.status_code == 200
    assert shown > len(READS) - 5


def test_everybody_who_is_named_has_a_row(admin: httpx.Client, audit: Audit) -> None:
    both = f"user_id=7&user_id=8&{RANGE}"
    for path, rows in {
        f"/api/v1/statistics/steps?{both}": {("statistics_read", "7"), ("statistics_read", "8")},
        f"/api/v1/statistics/flows?{both}": {("statistics_read", "7"), ("statistics_read", "8")},
        f"/api/v1/statistics/funnel?{both}": {("statistics_read", "7"), ("statistics_read", "8")},
        f"/api/v1/export?{both}": {("flows_exported", "7"), ("flows_exported", "8")},
        f"/api/v1/flows/{SEVEN}/export": {("flow_exported", "7")},
        f"/api/v1/playback?flow_id={SEVEN}": {("playback_read", "7")},
        "/api/v1/playback?user_id=8": {("playback_read", "8")},
        f"/api/v1/flows/previews?flow_id={SEVEN}&flow_id={EIGHT}": {
            ("flows_previewed", "7"),
            ("flows_previewed", "8"),
        },
        f"/api/v1/flows/{EIGHT}/usual": {("flow_compared", "8")},
        f"/api/v1/flows/compare?a={SEVEN}&b={EIGHT}": {("flow_compared", "7"), ("flow_compared", "8")},
        "/api/v1/flows/differences?a.user_id=7&b.user_id=8": {("flows_compared", "7"), ("flows_compared", "8")},
        "/api/v1/users/7/data": {("user_data_counted", "7")},
        f"/api/traces/{SEVEN}": {("flow_read", "7")},
        f"/jaeger/api/traces?traceID={SEVEN}&traceID={EIGHT}": {("flow_read", "7"), ("flow_read", "8")},
        f"/jaeger/api/v3/traces/{EIGHT}": {("flow_read", "8")},
    }.items():
        assert admin.get(path, headers=next(reasons)).status_code == 200, path
        assert {(row["action"], row["target_user"]) for row in audit.new()} == rows, path


def test_one_request_does_not_fill_the_audit_log(eight: httpx.Client, admin: httpx.Client, audit: Audit) -> None:
    ids = [f"{number:032x}" for number in range(1000, 1100)]
    many = "&".join(f"traceID={id}" for id in ids)
    for path in (f"/api/traces?{many}", "/api/v1/flows/previews?" + "&".join(f"flow_id={id}" for id in ids[:50])):
        assert eight.get(path, headers=next(reasons)).status_code == 200
        assert len(audit.new()) == 1, path
    users = "&".join(f"user_id={number}" for number in range(60))
    for path in (f"/api/v1/export?{users}", f"/api/v1/statistics/flows?{users}", f"/api/v1/flows/differences?{users}"):
        assert admin.get(path).status_code == 422, path


# -- values ------------------------------------------------------------------------------------------------------------

HOSTILE: Final = (
    *("", "'", '"', "';--", "' OR 1=1 --", "%", "_", "\\", "*", "?", "[a-z]*", "{}", "$1", "%00", "\0", "\ud800", "²"),
    *("-1", "0", "1e999", "NaN", "9" * 400, "0x7", "1_000", "٣", "true", "null", "[]", '{"a":"\\ud800"}', "a:b", ":"),
    *("2026-01-05T00:00:00.²Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-05", "1767614400"),
    *("../../etc/passwd", "..", ".", "/", "//evil", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\r\nX-A: b"),
    *("e" * 32, "x" * 3000, "\u202e", "é" * 200, "a\tb", "1.5h", "5s", "99999999999h", "day", "minute", "user"),
)
NAMES: Final = (
    *("flow_id conversation_id user_id session_id since until first limit after format tokens group_by interval sort q "
      "user team tool model outcome min_cost max_tokens id cursor count a b a.user_id b.q a.since b.tool").split(),
    *("traceID service operation spanKind endTs start end minDuration maxDuration tag tags prettyPrint").split(),
    *(f"query.{name}" for name in "serviceName service_name startTimeMin start_time_max searchDepth num_traces "
      "durationMin duration_max attributes filter operationName".split()),
)  # fmt: skip
PATHS: Final = (
    *("/api/v1/statistics/steps", "/api/v1/statistics/flows", "/api/v1/statistics/funnel", "/api/v1/export"),
    *("/api/v1/playback", "/api/v1/flows/previews", "/api/v1/flows/compare", "/api/v1/flows/differences"),
    *("/api/traces", "/jaeger/api/traces", "/api/v3/traces", "/jaeger/api/v3/traces", "/api/v3/trace-summaries"),
    *("/api/services", "/jaeger/api/operations", "/api/dependencies", "/api/v3/services", "/api/v3/operations"),
)
BELOW: Final = ("/api/v1/flows/{}/export", "/api/v1/flows/{}/usual", "/api/traces/{}", "/jaeger/api/v3/traces/{}",
                "/api/v1/users/{}/data", "/api/services/{}/operations")  # fmt: skip


@fuzzing.examples(60, 1000)
def test_no_value_makes_a_request_fail(
    viewer: RunningViewer, eight: httpx.Client, admin: httpx.Client, examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered or refused, whoever asks: never 500, and nothing in the log is an error."""
    values = st.sampled_from(HOSTILE)
    sensible = st.sampled_from(["service=s", V3, RANGE, "user_id=8", f"flow_id={EIGHT}", f"a={EIGHT}", "limit=2", ""])

    def attack(path: str, below: str, pairs: list[tuple[str, str]], also: str, inside: str) -> None:
        rest = "&".join([*(f"{name}={written(value)}" for name, value in pairs), also])
        for address in (f"{path}?{rest}", f"{below.format(written(inside))}?{rest}"):
            for client in (eight, admin):
                answer = client.get(address)
                assert answer.status_code in (200, 400, 403, 404, 405, 414, 422), (address, answer.text[:300])
                assert "\n" not in answer.headers.get("content-disposition", "")

    fuzzing.fuzz(
        examples,
        {
            "path": st.sampled_from(PATHS),
            "below": st.sampled_from(BELOW),
            "pairs": st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=3),
            "also": sensible,
            "inside": values,
        },
        attack,
    )
    assert [record.getMessage()[:300] for record in caplog.records if record.levelname == "ERROR"] == []


def written(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


ODD: Final = (
    ("/api/v3/traces?query.serviceName=s&query.startTimeMin=2026-01-05T00:00:00.%C2%B2Z"
     "&query.startTimeMax=2026-01-12T00:00:00Z", 400),
    ("/api/traces?service=s&tags=%7B%22a%22%3A%22%5Cud800%22%7D", 200),
    ("/api/traces?service=%ED%A0%80&operation=%00", 200),
    ("/api/traces?service=s&limit=-5&start=-99999999999", 200),
    ("/api/v1/playback?user_id=8&first=" + "9" * 300, 200),
    ("/api/v1/playback?user_id=8&limit=" + "9" * 300, 200),
)  # fmt: skip


def test_a_refusal_is_written_down_whatever_the_address_holds(eight: httpx.Client, audit: Audit) -> None:
    assert eight.get("/api/v1/users/%00%ED%A0%80/data").status_code == 403
    assert [row["outcome"] for row in audit.new()] == ["denied"]


@pytest.mark.parametrize(("path", "status"), ODD)
def test_odd_values_are_answered(admin: httpx.Client, path: str, status: int) -> None:
    assert admin.get(path).status_code == status


# -- headers and files -------------------------------------------------------------------------------------------------

HEADERS: Final[dict[str, dict[str, str]]] = {
    "ranges": {"Range": "bytes=" + ",".join(f"{at}-{at}" for at in range(5000))},
    "a range from the end": {"Range": "bytes=-5"},
    "another unit": {"Range": "items=0-1"},
    "encodings": {"Accept-Encoding": ",".join(["gzip;q=0.1", "br", "*;q=0"] * 4000)},
    "an encoding without end": {"Accept-Encoding": "gzip" * 10_000},
    "tags": {"If-None-Match": ",".join(['"a"'] * 10_000), "If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
    "any tag": {"If-None-Match": "*"},
    "an odd kind": {"Accept": "text/html;q=" + "9" * 10_000},
    "another method": {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/api/v1/audit"},
    "somebody else": {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "X-Forwarded-For": "127.0.0.1"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers_change_no_answer(eight: httpx.Client, headers: dict[str, str]) -> None:
    own = [named(path, EIGHT, "8") for path in READS]
    for path in (*own, named("/api/v1/flows/{flow}/export", SEVEN, "7"), "/"):
        plain = eight.get(path)
        answer = eight.get(path, headers=headers)
        assert (answer.status_code, answer.text) == (plain.status_code, plain.text), path
        assert "secret of 7" not in answer.text


def test_no_answer_is_kept_by_a_cache(eight: httpx.Client, viewer: RunningViewer) -> None:
    """Refusals included: a cache could tell somebody that their own flow is not there."""
    for path in READS:
        for user, flow in (("8", EIGHT), ("7", SEVEN), ("99", NONE)):
            for client in (eight, viewer.stranger):
                answer = client.get(named(path, flow, user))
                assert answer.headers.get("cache-control") == "no-store", (path, answer.status_code)
    assert eight.get("/api/v1/nothing").headers["cache-control"] == "no-store"
    assert eight.get("/api/v1/playback").headers["cache-control"] == "no-store"


def test_a_file_has_a_harmless_name_whatever_the_flow_is_called(admin: httpx.Client, make_flow: MakeFlow) -> None:
    for name in ('a"; filename="evil.html', "..\\..\\evil", "évil\u202etxt.exe", "a b;c=d", "CON", "-rf", "%0d%0aX: y"):
        running = make_flow("7", flow_id=name)
        running.start("root", None)
        answer = admin.get(f"/api/v1/flows/{written(name)}/export")
        assert answer.status_code == 200, name
        shown = answer.headers["content-disposition"]
        assert shown.startswith('attachment; filename="') and shown.endswith('.json"')
        inside = shown.removeprefix('attachment; filename="').removesuffix('.json"')
        assert all(char.isascii() and (char.isalnum() or char in "-_") for char in inside), shown
        assert "nosniff" in answer.headers["x-content-type-options"]


# -- erasing -----------------------------------------------------------------------------------------------------------


def test_only_who_may_erase_does_and_only_the_one_who_is_named(
    viewer: RunningViewer, admin: httpx.Client, store: Store, audit: Audit, postgres_dsn: str
) -> None:
    """Ids are no patterns: not in Postgres, and not in Redis."""
    store(part(9, [span(1)], **of("s-9", "8*")))

    def flows() -> int:
        return int(query(postgres_dsn, "SELECT count(*) AS n FROM omni2.interaction_flows")[0]["n"])

    before = flows()
    reason = {"X-Spanflow-Reason": "they asked for it"}
    for person in PEOPLE:
        if person is not ADMIN:
            with by(viewer, person) as client:
                for user in ("7", "8", "99", "*"):
                    assert client.delete(f"/api/v1/users/{user}/data", headers=reason).status_code == 403
    assert viewer.stranger.delete("/api/v1/users/8/data", headers=reason).status_code == 401
    assert admin.delete("/api/v1/users/8/data").status_code == 422
    blank = [(b"X-Spanflow-Reason", "\xa0".encode())]
    assert admin.delete("/api/v1/users/8/data", headers=blank).status_code == 422
    assert flows() == before
    denied = [row for row in audit.new() if row["action"] == "denied" and row["actor"] == VIEWER_8.name]
    assert len(denied) == 4
    for user in ("*", "%", "_", "[0-9]"):
        assert admin.delete(f"/api/v1/users/{written(user)}/data", headers=reason).status_code == 404, user
    for user in ("*", "%", "_", "[0-9]", "8*"):
        path = f"/api/v1/users/{written(user)}/data?allow_unknown=true"
        assert admin.delete(path, headers=reason).status_code == 200, user
    eventually(lambda: flows() == before - 1)
