"""The list of flows over HTTP: filters, cursors, counts, what runs, and who may see what."""

import time
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.http.paging import packed, unpacked
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.people import VIEWER_7, write_tokens
from tests.support.query import query, script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

HOUR = 3600 * 1000 * MS


def tool(number: int, name: str, mcp: str, **more: Any) -> Any:
    fields = {"attributes": {"flow.data.tool": name, "flow.data.mcp": mcp}, **more}
    return span(number, event_type="tool_call", name=f"tools/call {name}", **fields)


def person(user_id: str, email: str, name: str) -> dict[str, Any]:
    return {"identity": Identity(user_id=user_id, session_id=f"s{user_id}", email=email, full_name=name, source="web")}


def test_every_filter_narrows_the_list(viewer: RunningViewer, store: Store) -> None:
    refused: dict[str, Any] = {
        "status": "error",
        "outcome": "denied",
        "attributes": {"flow.denied.reason": "over the limit"},
    }
    asked: dict[str, Any] = {
        "gen_ai.request.model": "gpt-9",
        "gen_ai.usage.input_tokens": 70,
        "gen_ai.usage.output_tokens": 30,
    }
    store(
        part(1, [tool(1, "list_volumes", "qa")], **of("s1", conversation_id="c1")),
        part(2, [tool(2, "drop_volume", "prod", end_ns=NOON + 2 * HOUR)], **of("s2")),
        part(
            3,
            [
                span(30, name="POST /ask", kind="server", attributes={"http.response.status_code": 429}),
                span(31, 30, event_type="usage_check", **refused),
            ],
            **of("s3"),
        ),
        part(4, [span(4, event_type="llm_thinking", attributes=asked)], **of("s4")),
        part(5, [span(5, name="ภาษาไทย 東京都庁 🚀", attributes={"note": "تقرير"})], **of("s5")),
    )

    def found(query_string: str) -> list[int]:
        return sorted(int(flow["flow_id"], 16) for flow in viewer.get(f"/api/v1/flows?{query_string}")["flows"])

    assert {asked: found(asked) for asked in FILTERS} == snapshot(
        {
            "tool=list_volumes": [1],
            "tool=list_volumes&tool=drop_volume": [1, 2],
            "mcp_server=prod": [2],
            "model=gpt-9": [4],
            "checkpoint=tool_call": [1, 2],
            "checkpoint=usage_check": [3],
            "outcome=denied": [3],
            "outcome=denied&outcome=error": [3],
            "gate=usage_check": [3],
            "outcome_reason=rate_limited": [3],
            "outcome_reason=forbidden&outcome_reason=rate_limited&outcome=denied": [3],
            "outcome_reason=caller_error": [],
            "session_id=s1&session_id=s2": [1, 2],
            "conversation_id=c1": [1],
            "user_id=7&tool=drop_volume": [2],
            "user_id=8": [],
            "source=web&outcome=ok": [1, 2, 4, 5],
            "min_duration_ms=1000": [2],
            "max_duration_ms=1": [1, 3, 4, 5],
            "min_tokens=100": [4],
            "max_tokens=99&checkpoint=tool_call": [1, 2],
            "min_cost=0": [],
            "q=drop volume": [2],
            "q=over limit": [3],
            "q=ไทย": [5],
            "q=京都": [5],
            "q=%F0%9F%9A%80": [5],
            "q=%D8%AA%D9%82%D8%B1": [5],
            "since=2026-01-05T13:00:00Z&until=2026-01-05T13:01:00Z": [2],
            "since=2026-01-05T15:00:00Z": [],
            "user=no such person": [],
        }
    )


FILTERS = [
    "tool=list_volumes",
    "tool=list_volumes&tool=drop_volume",
    "mcp_server=prod",
    "model=gpt-9",
    "checkpoint=tool_call",
    "checkpoint=usage_check",
    "outcome=denied",
    "outcome=denied&outcome=error",
    "gate=usage_check",
    "outcome_reason=rate_limited",
    "outcome_reason=forbidden&outcome_reason=rate_limited&outcome=denied",
    "outcome_reason=caller_error",
    "session_id=s1&session_id=s2",
    "conversation_id=c1",
    "user_id=7&tool=drop_volume",
    "user_id=8",
    "source=web&outcome=ok",
    "min_duration_ms=1000",
    "max_duration_ms=1",
    "min_tokens=100",
    "max_tokens=99&checkpoint=tool_call",
    "min_cost=0",
    "q=drop volume",
    "q=over limit",
    "q=ไทย",
    "q=京都",
    "q=%F0%9F%9A%80",
    "q=%D8%AA%D9%82%D8%B1",
    # It began at noon and was still going on an hour later.
    "since=2026-01-05T13:00:00Z&until=2026-01-05T13:01:00Z",
    "since=2026-01-05T15:00:00Z",
    "user=no such person",
]

MISTAKES = {
    "toolz=x": "toolz: there is no such filter.",
    "outcome=fine": "outcome: one of ok, denied, error, cancelled, interrupted, running.",
    "outcome=ok&gate=auth_check": "gate: only a denied flow has one, and outcome asks for others.",
    "outcome_reason=tired": (
        "outcome_reason: one of unauthenticated, forbidden, rate_limited, caller_error, server_error."
    ),
    "min_duration_ms=5&max_duration_ms=4": "min_duration_ms is greater than max_duration_ms: nothing can be found.",
    "min_tokens=-1": "min_tokens: a number from 0 on.",
    "max_cost=nan": "max_cost: a number from 0 on.",
    "min_cost=much": "min_cost: a number from 0 on.",
    "since=2026-01-06&until=2026-01-05": "since is not before until: nothing can be found.",
    "sort=prettiest": "sort: one of newest, duration, tokens, cost.",
    "count=all": "count: one of none, exact, estimated.",
    "since=2026-01-05&since=2026-01-06": "since: give it once.",
    "&".join(f"tool=t{number}" for number in range(51)): "tool: at most 50 values.",
    "q=%21+%2A": "q: there is no word in it that could be looked for.",
    "model=" + "x" * 201: "model: at most 200 characters.",
}


@pytest.mark.parametrize("query_string", MISTAKES)
def test_a_filter_that_cannot_be_meant_is_refused(viewer: RunningViewer, query_string: str) -> None:
    response = viewer.http.get(f"/api/v1/flows?{query_string}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["detail"].startswith(MISTAKES[query_string])


def test_people_are_found_by_a_part_of_their_name_or_address(viewer: RunningViewer, store: Store) -> None:
    store(
        part(1, [span(1)], **person("7", "ada@example.org", "Ada Lovelace")),
        part(2, [span(2)], **person("8", "alan@example.org", "Alan Turing")),
        part(3, [span(3)], **person("9", "grace@navy.example", "Grace Hopper")),
    )

    def users(asked: str) -> list[int]:
        return sorted(flow["user_id"] for flow in viewer.get(f"/api/v1/flows?user={asked}")["flows"])

    assert users("lovel") == [7]
    assert users("example.org") == [7, 8]
    assert users("9") == [9]
    assert users("example&user_id=8") == [8]
    assert users("nobody") == []


def test_a_cursor_belongs_to_its_search(viewer: RunningViewer, store: Store) -> None:
    store(*(part(n, [tool(n, f"t{n % 2}", "qa")], **of(f"s{n}")) for n in range(1, 9)))
    first = viewer.get("/api/v1/flows?checkpoint=tool_call&limit=3")
    cursor = first["next"]
    second = viewer.get(f"/api/v1/flows?limit=5&checkpoint=tool_call&cursor={cursor}&count=exact")
    assert second["count"] == {"value": 8, "kind": "exact"}
    ids = [flow["flow_id"] for flow in first["flows"] + second["flows"]]
    assert ids == [f"{n:032x}" for n in range(8, 0, -1)]
    for other in ("checkpoint=llm_thinking", "sort=duration&checkpoint=tool_call", ""):
        response = viewer.http.get(f"/api/v1/flows?{other}&cursor={cursor}")
        assert (response.status_code, response.json()["code"]) == (422, "cursor_of_another_search")
    for broken in (cursor[:-4], cursor + "A", "bm90aGluZw", "[]"):
        response = viewer.http.get(f"/api/v1/flows?checkpoint=tool_call&cursor={broken}")
        assert response.status_code == 422


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, "0001-01-01T00:00:00+23:00"),
        (1, "2026-01-05T12:00:00"),
        (1, 7),
        (2, 7),
        (2, "\0"),
        (3, 1e300),
        (3, 5),
        (3, "x"),
        (4, -1),
        (4, 1e300),
        (4, True),
        (5, 7),
        (5, [[1]]),
    ],
)
def test_a_cursor_that_was_changed_is_refused(viewer: RunningViewer, store: Store, place: int, value: Any) -> None:
    store(*(part(n, [span(n)], **of("s1")) for n in range(1, 4)))
    inside = unpacked(viewer.get("/api/v1/flows?limit=2")["next"])
    inside[place] = value
    response = viewer.http.get("/api/v1/flows", params={"cursor": packed(inside)})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


def test_sorted_lists_are_paged_as_well(viewer: RunningViewer, store: Store) -> None:
    store(*(part(n, [span(n, end_ns=NOON + (n * 7 % 10 + 20) * MS)], **of(f"s{n}")) for n in range(1, 10)))
    seen: list[float] = []
    page = viewer.get("/api/v1/flows?sort=duration&limit=4")
    seen += [flow["duration_ms"] for flow in page["flows"]]
    while page["next"]:
        page = viewer.get(f"/api/v1/flows?sort=duration&limit=4&cursor={page['next']}")
        seen += [flow["duration_ms"] for flow in page["flows"]]
    assert len(seen) == 9
    assert seen == sorted(seen, reverse=True)


def test_counts_come_only_when_they_are_asked_for(viewer: RunningViewer, store: Store) -> None:
    store(*(part(n, [span(n)], **of("s1")) for n in range(1, 4)))
    assert set(viewer.get("/api/v1/flows")) == {"flows", "next"}
    assert viewer.get("/api/v1/flows?count=exact&limit=1")["count"] == {"value": 3, "kind": "exact"}
    assert viewer.get("/api/v1/flows?count=estimated&limit=1")["count"] == {"value": 3, "kind": "exact"}


def test_what_runs_is_narrowed_by_the_same_filters(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    flow = make_flow(conversation_id="c-1")
    flow.start("root", name="POST /ask")
    flow.step("tool", "root", "tool_call", tool="list_volumes", mcp="qa")
    matching = (
        "outcome=running",
        "tool=list_volumes",
        "mcp_server=qa&checkpoint=tool_call",
        "q=volumes list",
        "conversation_id=c-1",
        "session_id=s-1&user_id=7",
        "max_duration_ms=600000",
        "since=" + str(time.time() - 1),
        "sort=duration&outcome=running",
    )
    for asked in matching:
        assert [shown["flow_id"] for shown in viewer.get(f"/api/v1/flows?{asked}")["flows"]] == [flow.flow_id], asked
    for asked in ("outcome=ok", "tool=other", "q=nothing", "conversation_id=c-2", "min_tokens=1", "until=2026-01-01"):
        assert viewer.get(f"/api/v1/flows?{asked}")["flows"] == [], asked


def test_what_was_shown_while_it_ran_is_not_shown_again_when_it_is_stored(
    viewer: RunningViewer, store: Store, make_flow: MakeFlow
) -> None:
    store(*(part(n, [span(n)], **of("s1")) for n in range(2, 7)))
    flow = make_flow(flow_id=f"{1:032x}", session_id="s1", start_ns=NOON)
    flow.start("root")
    first = viewer.get("/api/v1/flows?limit=3")
    flow.end("root")
    flow.close()
    store(part(1, [span(1)], **of("s1")))
    rest = viewer.get(f"/api/v1/flows?limit=3&cursor={first['next']}")
    ids = [shown["flow_id"] for shown in first["flows"] + rest["flows"]]
    assert sorted(ids) == [f"{n:032x}" for n in range(1, 7)]


def test_nobody_finds_what_they_may_not_see(make_viewer: MakeViewer, store: Store, tmp_path: Path) -> None:
    store(
        part(1, [tool(1, "secret", "qa")], **of("s1", "7")),
        part(2, [tool(2, "secret", "qa")], **of("s2", "8")),
        part(3, [tool(3, "secret", "qa")], identity=Identity(session_id="s3")),
    )
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7)))
    mine = dict(VIEWER_7.bearer)
    assert len(viewer.get("/api/v1/flows?tool=secret")["flows"]) == 3
    cursor = viewer.get("/api/v1/flows?tool=secret&limit=1")["next"]
    for asked in ("", "tool=secret", "q=secret", "session_id=s1&session_id=s2", "sort=duration", "mcp_server=qa"):
        answer = viewer.get(f"/api/v1/flows?{asked}&count=exact", headers=mine)
        assert [flow["user_id"] for flow in answer["flows"]] == [7], asked
        assert answer["count"]["value"] == 1
    assert viewer.get("/api/v1/flows?session_id=s2", headers=mine)["flows"] == []
    assert viewer.http.get("/api/v1/flows?user_id=8", headers=mine).status_code == 403
    stolen = viewer.http.get(f"/api/v1/flows?tool=secret&limit=1&cursor={cursor}", headers=mine)
    assert stolen.json()["code"] == "cursor_of_another_search"
    for view in ("", "/tree", "/flat"):
        assert viewer.http.get(f"/api/v1/flows/{1:032x}{view}", headers=mine).status_code == 200
        for other in (2, 3):
            hidden = viewer.http.get(f"/api/v1/flows/{other:032x}{view}", headers=mine)
            absent = viewer.http.get(f"/api/v1/flows/{9:032x}{view}", headers=mine)
            assert (hidden.status_code, hidden.content) == (404, absent.content)


def test_the_audit_log_says_what_was_searched(viewer: RunningViewer, postgres_dsn: str) -> None:
    viewer.get("/api/v1/flows?tool=a&tool=b&q=word&limit=5")
    (row,) = query(postgres_dsn, "SELECT action, detail::text AS detail FROM omni2.audit_log")
    assert row["action"] == "flows_listed"
    assert "a, b" in row["detail"]
    assert "word" in row["detail"]


def test_a_search_that_takes_too_long_is_answered_in_time(make_viewer: MakeViewer, postgres_dsn: str) -> None:
    viewer = make_viewer(viewer_statement_timeout=0.6)
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.interaction_flows (user_id, source) SELECT '7', 'web' FROM generate_series(1, 3);
        ALTER TABLE omni2.interaction_flows RENAME TO hidden;
        CREATE FUNCTION omni2.slowly() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(30) IS NOT NULL';
        CREATE VIEW omni2.interaction_flows AS SELECT * FROM omni2.hidden WHERE omni2.slowly();
        """,
    )
    began = time.monotonic()
    response = viewer.http.get("/api/v1/flows?source=web")
    assert (response.status_code, response.json()["code"]) == (503, "query_timeout")
    assert time.monotonic() - began < 5
