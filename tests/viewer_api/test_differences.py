"""What is different about some flows."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import Store, of

DIFFERENCES = "/api/v1/flows/differences"


def flow(number: int, *, slow: bool, tool: str, user: str = "7") -> Any:
    """One call of a tool, in a flow of its own."""
    start = NOON + number * 1000 * MS
    end = start + (3000 if slow else 150) * MS
    attributes = {"gen_ai.tool.name": tool, "gen_ai.request.model": f"m{number % 2}"}
    spans = [
        span(1, name="POST /ask", start_ns=start, end_ns=end),
        span(2, 1, event_type="tool_call", start_ns=start, end_ns=end, attributes=attributes),
    ]
    return part(number, spans, **of(f"s{number}", user))


@pytest.fixture
def stored(store: Store) -> None:
    """Forty flows: most of the slow ones called the export, and so did one of the others."""
    slow = [flow(n, slow=True, tool="export" if n > 2 else "list") for n in range(1, 11)]
    quick = [flow(n, slow=False, tool="export" if n == 11 else "list") for n in range(11, 41)]
    store(*slow, *quick)


def test_the_greatest_difference_comes_first_with_a_filter_that_finds_such_flows(
    viewer: RunningViewer, stored: None
) -> None:
    found = viewer.get(f"{DIFFERENCES}?a.min_duration_ms=1000&b.max_duration_ms=1000&user_id=7")
    assert found == snapshot(
        {
            "a": {"sampled": 10, "complete": True},
            "b": {"sampled": 30, "complete": True},
            "differences": [
                {
                    "attribute": "tool",
                    "value": "export",
                    "a": {"flows": 8, "share": 0.8},
                    "b": {"flows": 1, "share": 0.0333},
                    "difference": 0.7667,
                    "filter": {"tool": "export"},
                },
                {
                    "attribute": "tool",
                    "value": "list",
                    "a": {"flows": 2, "share": 0.2},
                    "b": {"flows": 29, "share": 0.9667},
                    "difference": -0.7667,
                    "filter": {"tool": "list"},
                },
            ],
            "hidden": [{"attribute": "duration_ms", "reason": "asked_for"}],
        }
    )
    for each in found["differences"]:
        for side, bounds in (("a", {"min_duration_ms": 1000}), ("b", {"max_duration_ms": 1000})):
            listed = viewer.get("/api/v1/flows", params={**bounds, **each["filter"], "limit": 200})["flows"]
            assert len(listed) == each[side]["flows"]


def test_a_range_is_a_filter_too(viewer: RunningViewer, stored: None) -> None:
    found = viewer.get(f"{DIFFERENCES}?a.tool=export&b.tool=list")["differences"]
    ranges = [each for each in found if each["attribute"] == "duration_ms"]
    assert [(each["value"], each["a"]["flows"], each["b"]["flows"]) for each in ranges] == snapshot(
        [("2000-5000", 8, 2), ("100-200", 1, 29)]
    )
    assert ranges[0]["filter"] == {"min_duration_ms": "2000", "max_duration_ms": "5000"}


def test_what_is_an_id_is_named_and_not_compared(viewer: RunningViewer, store: Store) -> None:
    store(*[flow(n, slow=n % 2 == 0, tool="list", user=f"u{n}") for n in range(1, 41)])
    found = viewer.get(f"{DIFFERENCES}?a.min_duration_ms=1000&b.max_duration_ms=1000")
    assert found["hidden"] == [
        {"attribute": "user_id", "reason": "many_values", "values": 40},
        {"attribute": "duration_ms", "reason": "asked_for"},
    ]
    # Every second flow is slow, and has the other model.
    assert [(each["value"], each["difference"]) for each in found["differences"]] == [("m0", 1.0), ("m1", -1.0)]


def test_many_flows_are_sampled_from_all_of_their_time(viewer: RunningViewer, postgres_dsn: str, store: Store) -> None:
    """The newest 5,000 alone would say that nothing has changed since the first day."""
    store(flow(1, slow=False, tool="list"))
    statement = """
        INSERT INTO omni2.interaction_flows (flow_id, start_key, user_id, source, name, outcome, started_at, ended_at,
            completed_at, duration_ms, complete, span_count, checkpoint_count, error_count, tokens_in, tokens_out,
            tools, flow_data)
        SELECT md5(n::text), at, '7', 'web', 'POST /ask', 'ok', at, at, at, 10, true, 1, 1, 0, 0, 0,
               ARRAY[CASE WHEN n < 10000 THEN 'old' ELSE 'new' END], '{}'
        FROM generate_series(1, 20000) AS n,
            LATERAL (SELECT timestamptz '2026-01-05' + n * interval '5 seconds' AS at) AS t
    """
    script(postgres_dsn, f"{statement}; ANALYZE omni2.interaction_flows")
    found = viewer.get(f"{DIFFERENCES}?b.tool=new")
    assert found["a"]["complete"] is False
    assert 4_000 <= found["a"]["sampled"] <= 5_000
    found = viewer.get(f"{DIFFERENCES}?a.source=web&b.since=2026-01-05T14:00:00Z")
    share = {each["value"]: each["a"]["share"] for each in found["differences"] if each["attribute"] == "tool"}
    assert share["old"] == pytest.approx(0.5, abs=0.05)


def test_one_look_is_written_down_with_both_groups(viewer: RunningViewer, stored: None, postgres_dsn: str) -> None:
    viewer.get(f"{DIFFERENCES}?a.user_id=7&a.outcome=ok&source=web")
    (row,) = query(postgres_dsn, "SELECT target_user, detail FROM omni2.audit_log WHERE action = 'flows_compared'")
    assert row["target_user"] == "7"
    assert '"a.outcome": "ok"' in str(row["detail"])
    assert '"source": "web"' in str(row["detail"])


@pytest.mark.parametrize(
    "asked",
    ["a.nothing=1", "c.tool=x", "a.limit=3", "sort=cost", "a.outcome=perhaps", "a.tool=x&tool=y&a.user=1&user=2"],
)
def test_what_is_no_filter_is_refused(viewer: RunningViewer, asked: str) -> None:
    response = viewer.http.get(f"{DIFFERENCES}?{asked}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
