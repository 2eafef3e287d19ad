"""The list of flows: pages, filters, words, limits."""

from inline_snapshot import snapshot

from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import Store, of


def test_the_list_pages_by_keys_and_filters(viewer: RunningViewer, store: Store) -> None:
    parts = [
        part(
            n,
            [span(n, status="error" if n % 4 == 0 else "ok", outcome="error" if n % 4 == 0 else "ok")],
            **of(f"s{n % 3}"),
        )
        for n in range(1, 21)
    ]
    store(*parts)
    seen: list[str] = []
    cursor = None
    while True:
        page = viewer.get("/api/v1/flows", params={"limit": 6, **({"cursor": cursor} if cursor else {})})
        seen += [flow["flow_id"] for flow in page["flows"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"{n:032x}" for n in range(20, 0, -1)]

    def count(**filters: str) -> int:
        return len(viewer.get("/api/v1/flows", params=filters)["flows"])

    assert count(session_id="s1") == 7
    assert count(user_id="7", outcome="error") == 5
    assert count(user_id="8") == 0
    assert count(source="web") == 20
    assert count(source="mcp") == 0
    assert count(since="2026-01-05") == 20
    assert count(until="2026-01-05") == 20
    assert count(until="2026-01-04") == 0
    # The tenth ended at that very moment.
    assert count(since="2026-01-05T12:00:00.011Z") == 11
    assert count(since="2026-01-05T13:00:00.011+01:00") == 11
    assert count(until=str(NOON / 1e9 + 0.011)) == 10
    assert count(q="step 7") == 1
    assert count(q="no such word") == 0
    assert count(q="'; \x00 & | ! :* <-> step") == 20
    first = viewer.get("/api/v1/flows?limit=1")["flows"][0]
    assert first == snapshot(
        {
            "flow_id": "00000000000000000000000000000014",
            "session_id": "s2",
            "user_id": 7,
            "conversation_id": None,
            "source": "web",
            "name": "step 20",
            "open": False,
            "outcome": "error",
            "started_at": "2026-01-05T12:00:00.020000Z",
            "completed_at": "2026-01-05T12:00:00.021000Z",
            "duration_ms": 1.0,
            "span_count": 1,
            "cut_spans": 0,
            "checkpoint_count": 0,
            "error_count": 1,
            "tokens_input": 0,
            "tokens_output": 0,
            "cost": None,
            "tools": [],
            "models": [],
            "mcp_servers": [],
            "outcome_reason": None,
            "denied_gate": None,
            "denied_reason": None,
            "error_message": None,
            "email": None,
            "full_name": None,
            "verdict": None,
        }
    )


MISTAKES = [
    "cursor=x",
    "cursor=WzEsMl0",
    "since=yesterday",
    "until=2026-13-01",
    "since=99999999999999999999",
    "limit=0",
    "limit=-1",
    "limit=many",
    "user_id=" + "x" * 129,
    "user_id=a%2Fb",
    "session_id=%7B",
]


def test_parameters_that_make_no_sense_are_refused(viewer: RunningViewer) -> None:
    for query_string in MISTAKES:
        response = viewer.http.get(f"/api/v1/flows?{query_string}")
        assert response.status_code == 422, (query_string, response.text)
        assert response.headers["content-type"] == "application/problem+json"


def test_limits_are_capped(viewer: RunningViewer, postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.interaction_flows (user_id, session_id, flow_data) "
        "SELECT '7', 's' || n, '{\"events\": []}' FROM generate_series(1, 250) AS n",
    )
    assert len(viewer.get("/api/v1/monitoring/flows/7?limit=1000000")["flows"]) == 200
    assert len(viewer.get("/api/v1/flows?limit=1000000")["flows"]) == 200
    assert len(viewer.get("/api/v1/flows/user/7/sessions?limit=1000000")["sessions"]) == 200


def test_sorted_pages_hold_once_what_does_not_change_while_others_do(
    viewer: RunningViewer, store: Store, postgres_dsn: str
) -> None:
    for number in range(1, 41):
        store(part(number, [span(1, end_ns=NOON + number * 10 * MS)], **of("s1")))
    found: list[str] = []
    cursor = ""
    while True:
        page = viewer.get(f"/api/v1/flows?sort=duration&limit=5{cursor}")
        found += [flow["flow_id"] for flow in page["flows"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        # Every fourth flow moves: one half to the front, where pages were read already, the other to the end.
        script(
            postgres_dsn,
            "UPDATE omni2.interaction_flows SET duration_ms = CASE WHEN duration_ms::int % 80 = 0 "
            "THEN duration_ms + 100000 ELSE duration_ms / 100000 END WHERE duration_ms::int % 40 = 0",
        )
    still = [f"{number:032x}" for number in range(40, 0, -1) if number % 4]
    assert [flow_id for flow_id in found if flow_id in still] == still
