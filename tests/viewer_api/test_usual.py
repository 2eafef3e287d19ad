"""One flow beside the usual one of its kind."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.viewer_api.analysis.against_usual import against_usual
from spanflow.viewer_api.analysis.steps import steps_of
from spanflow.viewer_api.analysis.usual_shape import usual_shape
from spanflow.viewer_api.flows.flow_tree import FlowTree
from spanflow.viewer_api.statistics.histogram import bucket_of
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.people import ADMIN, VIEWER_7, VIEWER_8, ask, write_tokens
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of
from tests.viewer_api.test_compare import model, step, tool, tree
from tests.viewer_api.test_statistics_counting import count_all

BEFORE = {"name": "POST /ask", "source": "web"}


def usual_beside(flow: FlowTree, others: list[FlowTree], durations: Any = None) -> dict[str, Any]:
    shape = usual_shape(steps_of(other.tree, other.facts) for other in others)
    return against_usual(flow, shape, durations or {}, BEFORE)


def told(rows: list[dict[str, Any]]) -> list[str]:
    """Each row in a few words: what is usual, and what the flow says."""

    def usually(side: dict[str, Any] | None) -> str:
        if side is None:
            return "-"
        times = f"{side['p50_ms']:g}..{side['p95_ms']:g}" if "p50_ms" in side else "?"
        count = f"{side['count']}x" if "count" in side else ""
        return f"{count}{times} in {100 * side['share']:g} %" if "share" in side else times

    def took(side: dict[str, Any] | None) -> str:
        if side is None:
            return "-"
        return f"{side['count']}x{side['p50_ms']:g}" if "count" in side else f"{side['duration_ms']:g}"

    def name(row: dict[str, Any]) -> str:
        return f"{'  ' * row['depth']}{row.get('subject') or row['kind']}"

    return [f"{name(row)}: {row['status']} ({usually(row['a'])}) {took(row['b'])}" for row in rows]


def question(number: int) -> FlowTree:
    """A usual one: takes longer with its number, and in half of them a second look is needed."""
    spans = [
        step(1, None, 0, 100 + number, name="POST /ask"),
        step(2, 1, 0, 5, event_type="auth_check", name="auth"),
        step(3, 1, 5, 10, event_type="usage_check", name="usage"),
        model(4, 1, 12, 52 + number, "small"),
        tool(5, 1, 60 + number, 90 + number, "list"),
        step(6, 5, 61 + number, 89 + number, name="SELECT"),
    ]
    if not number:
        spans.append(tool(7, 1, 91, 92, "rare"))
    return tree(*spans)


USUAL = [question(number) for number in range(20)]


def test_each_step_is_told_beside_what_is_usual_at_its_place() -> None:
    flow = tree(
        step(1, None, 0, 190, name="POST /ask"),
        step(2, 1, 0, 5, event_type="auth_check", name="auth"),
        model(4, 1, 5, 95, "small"),
        tool(5, 1, 145, 155, "list"),
        step(6, 5, 146, 154, name="SELECT", outcome="error"),
        tool(7, 1, 156, 158, "rare"),
        tool(8, 1, 158, 180, "new"),
        step(9, 8, 159, 175, name="inside"),
    )
    found = usual_beside(flow, USUAL)
    assert told(found["rows"]) == snapshot(
        [
            "POST /ask: slower (109..118 in 100 %) 190",
            "  auth: same (5..5 in 100 %) 5",
            "  usage: missing (5..5 in 100 %) -",
            "  waiting: faster (2..2) 0",
            "  small: slower (49..58 in 100 %) 90",
            "  waiting: slower (8..8) 50",
            "  list: faster (30..30 in 100 %) 10",
            "    waiting: same (1..1) 1",
            "    SELECT: changed (28..28 in 100 %) 8",
            "    waiting: same (1..1) 1",
            "  waiting: added (-) 1",
            "  rare: added (? in 5 %) 2",
            "  new: added (-) 22",
            "    waiting: added (-) 1",
            "    inside: added (-) 16",
            "    waiting: added (-) 5",
            "  waiting: same (10..10) 10",
        ]
    )
    assert found["counts"] == snapshot(
        {"same": 1, "slower": 2, "faster": 1, "changed": 1, "added": 3, "missing": 1, "unknown": 0}
    )
    assert found["a"] == snapshot(
        {
            "name": "POST /ask",
            "source": "web",
            "flows": 20,
            "enough": True,
            "p50_ms": 109.0,
            "p95_ms": 118.0,
            "timed": 20,
            "of": "flows",
        }
    )
    assert (found["delta_ms"], found["b"]["flow_id"]) == snapshot((81.0, "00000000000000000000000000000001"))
    assert [found["rows"][place].get("subject") for place in found["biggest"]] == snapshot(
        ["POST /ask", "small", "SELECT", "inside", "new"]
    )
    assert found["rows"][1] == snapshot(
        {
            "kind": "step",
            "depth": 1,
            "status": "same",
            "event_type": "auth_check",
            "name": "auth",
            "subject": "auth",
            "a": {"flows": 20, "share": 1.0, "self_ms": 5.0, "p50_ms": 5.0, "p95_ms": 5.0, "timed": 20, "of": "flows"},
            "b": {
                "node_id": "0000000000000002",
                "offset_ms": 0.0,
                "duration_ms": 5.0,
                "self_ms": 5.0,
                "critical_ms": 5.0,
                "outcome": "ok",
                "open": False,
            },
            "delta_ms": 0.0,
            "delta_percent": 0.0,
            "pace": "same",
            "percentile": 50.0,
        }
    )


def test_a_usual_flow_is_as_usual() -> None:
    for flow in USUAL[1:19]:
        found = usual_beside(flow, USUAL)
        assert {row["status"] for row in found["rows"]} == {"same"}, told(found["rows"])


def test_equal_steps_are_told_as_a_whole_where_there_usually_are_many() -> None:
    def polling(count: int, took: float) -> FlowTree:
        calls = [tool(10 + n, 1, n * 10, n * 10 + took, "poll") for n in range(count)]
        return tree(step(1, None, 0, 200), *calls)

    usual = [polling(count, 4) for count in (6, 6, 7, 7, 8, 8)]
    for flow, expected in (
        (polling(7, 4), "poll: same (7x4..4 in 100 %) 7x4"),
        (polling(2, 4), "poll: changed (7x4..4 in 100 %) 2x4"),
        (polling(15, 9), "poll: changed (7x4..4 in 100 %) 15x9"),
        (polling(6, 9), "poll: slower (7x4..4 in 100 %) 6x9"),
        (polling(0, 9), "poll: missing (7x4..4 in 100 %) -"),
    ):
        (line,) = [line for line in told(usual_beside(flow, usual)["rows"]) if "poll" in line]
        assert line.strip() == expected
    (line,) = [line for line in told(usual_beside(polling(7, 4), [polling(0, 0)] * 6)["rows"]) if "poll" in line]
    assert line.strip() == "poll: added (-) 7x4"


def test_of_few_flows_nothing_is_usual_but_times_of_a_kind_are_known() -> None:
    flow = tree(step(1, None, 0, 50, name="POST /ask"), tool(2, 1, 0, 40, "list"))
    kinds = {"tool_call:tools/call list": {bucket_of(number * MS): 1 for number in range(1, 21)}}
    found = usual_beside(flow, USUAL[:4], kinds)
    assert (found["a"]["enough"], found["a"]["flows"], found["a"]["p50_ms"]) == (False, 4, None)
    (first, second, *_) = found["rows"]
    assert (first["status"], first["a"]) == ("unknown", None)
    assert (second["status"], second["a"]["of"], second["percentile"]) == ("slower", "kind", 100.0)
    assert second["a"]["p50_ms"] == pytest.approx(10, rel=0.03)


def test_where_nothing_usual_is_known_there_is_no_difference() -> None:
    flow = tree(
        step(1, None, 0, 800, name="POST /ask"),
        tool(2, 1, 0, 40, "list"),
        tool(3, 1, 45, 800, "export"),
        *(tool(10 + n, 3, 50 + n * 10, 58 + n * 10, "poll") for n in range(6)),
    )
    kinds = {"tool_call:tools/call list": {bucket_of(number * MS): 1 for number in range(1, 21)}}
    found = usual_beside(flow, [], kinds)
    assert (found["delta_ms"], found["delta_percent"]) == (None, None)
    known = {row.get("subject") or row["kind"]: (row["status"], row["delta_ms"] is None) for row in found["rows"]}
    assert known == snapshot(
        {
            "POST /ask": ("unknown", True),
            "list": ("slower", False),
            "waiting": ("unknown", True),
            "export": ("unknown", True),
            "poll": ("unknown", True),
        }
    )
    assert all("pace" not in row for row in found["rows"] if row["status"] == "unknown")
    assert found["counts"]["unknown"] == 3
    # What nothing is known of explains nothing.
    assert [found["rows"][place]["subject"] for place in found["biggest"]] == ["list"]


def test_a_place_that_few_of_the_flows_have_has_no_usual_time() -> None:
    """Three of twenty: too few to say how long it takes, too many to be unusual."""
    others = [tree(step(1, None, 0, 100), *([tool(2, 1, 0, 20, "list")] if n < 3 else [])) for n in range(20)]
    found = usual_beside(tree(step(1, None, 0, 100), tool(2, 1, 0, 90, "list")), others)
    (row,) = [row for row in found["rows"] if row.get("subject") == "list"]
    assert (row["status"], row["a"]["flows"], row["delta_ms"], row.get("pace")) == ("unknown", 3, None, None)


NAMES = st.sampled_from(["a", "b", "c"])
#: The children of the root and the children of each of these.
SHAPES = st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=7)), max_size=9)


def made(shape: list[tuple[str, list[str]]]) -> FlowTree:
    spans: list[Event] = [step(1, None, 0, 1000)]
    for outer, (name, below) in enumerate(shape):
        number = 100 * (outer + 1)
        spans.append(tool(number, 1, outer * 50, outer * 50 + 40, name))
        spans += [
            tool(number + 1 + at, number, outer * 50 + at * 5, outer * 50 + at * 5 + 4, inner)
            for at, inner in enumerate(below)
        ]
    return tree(*spans)


@given(SHAPES, st.lists(SHAPES, min_size=5, max_size=9))
def test_every_step_has_one_row_or_is_in_one_and_nothing_that_is_there_is_missing(
    shape: list[tuple[str, list[str]]], others: list[list[tuple[str, list[str]]]]
) -> None:
    found = usual_beside(made(shape), [made(other) for other in others])
    rows = found["rows"]
    outer = [row for row in rows if row["depth"] == 1 and row["kind"] != "waiting"]
    there = {name for name, _ in shape}
    for name in there:
        told_of = [row for row in outer if row["subject"] == name and row["b"] is not None]
        assert sum(row["b"].get("count", 1) for row in told_of) == sum(each == name for each, _ in shape)
    for name in {name for other in others for name, _ in other} - there:
        share = sum(any(each == name for each, _ in other) for other in others) / len(others)
        assert any(row["subject"] == name and row["status"] == "missing" for row in outer) == (share >= 0.5)
    assert sum(found["counts"].values()) == sum(row["kind"] != "waiting" for row in rows)
    ids = [row["b"]["node_id"] for row in rows if row["kind"] == "step" and row["b"] is not None]
    assert len(ids) == len(set(ids))


def test_ten_thousand_spans_beside_a_hundred_flows() -> None:
    spans = [step(1, None, 0, 100_000, name="POST /ask")]
    spans += [tool(number, number // 4 or 1, number, number + 5, f"t{number % 31}") for number in range(2, 10_001)]
    found = usual_beside(tree(*spans), USUAL * 5)
    assert len(found["rows"]) > 5_000


def asked(number: int, **more: Any) -> Any:
    """Flow `number`, which takes so many milliseconds and calls a tool."""
    spans = [step(1, None, 0, number, name="POST /ask"), tool(2, 1, 0, number / 2, "list")]
    return part(number, spans, **(of("s1", "7") | more))


def test_a_past_flow_beside_those_before_it(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    late = [step(1, None, 60_000, 60_900, name="POST /ask"), tool(3, 1, 60_000, 60_700, "drop")]
    other_kind = [part(500 + n, [step(1, None, n, n + 5, name="GET /")]) for n in range(9)]
    failed = [part(600 + n, [step(1, None, n, n + 5, name="POST /ask", outcome="error")], **of("s")) for n in range(9)]
    after = [part(700 + n, [step(1, None, 70_000, 70_005, name="POST /ask")], **of("s")) for n in range(9)]
    store(*(asked(100 + n) for n in range(20)), part(1, late, **of("s2", "8")), *other_kind, *failed, *after)
    found = viewer.get(f"/api/v1/flows/{1:032x}/usual")
    usual = found["a"]
    assert (usual["name"], usual["source"], usual["flows"], usual["enough"]) == ("POST /ask", "web", 20, True)
    assert (usual["p50_ms"], usual["p95_ms"]) == (109.0, 118.0)
    assert usual["until"] == datetime.fromtimestamp(NOON / 1e9 + 60, UTC).isoformat().replace("+00:00", "Z")
    assert told(found["rows"]) == snapshot(
        [
            "POST /ask: slower (109..118 in 100 %) 900",
            "  list: missing (54.5..59 in 100 %) -",
            "  drop: added (-) 700",
            "  waiting: slower (54.5..59) 200",
        ]
    )
    (row,) = query(postgres_dsn, "SELECT target_user, target FROM omni2.audit_log WHERE action = 'flow_compared'")
    assert (row["target_user"], row["target"]) == ("8", f"{1:032x}")


def test_old_flows_are_compared_with_those_before_them_wherever_they_are_stored(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    """What began before the oldest partition shares one key there, whatever the order of its times."""
    late = part(1, [step(1, None, 60_000, 60_900, name="POST /ask")], **of("s2", "8"))
    after = [part(700 + n, [step(1, None, 70_000, 70_005, name="POST /ask")], **of("s")) for n in range(9)]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), *(asked(100 + n) for n in range(20)), late, *after)
    keys = query(postgres_dsn, "SELECT DISTINCT start_key FROM omni2.interaction_flows")
    assert len(keys) == 1 and keys[0]["start_key"] > datetime.fromtimestamp(NOON / 1e9 + 3600, UTC)
    usual = viewer.get(f"/api/v1/flows/{1:032x}/usual")["a"]
    assert (usual["flows"], usual["enough"], usual.get("p50_ms")) == (20, True, 109.0)


def test_times_of_a_kind_are_those_of_the_day_before_the_flow(
    viewer: RunningViewer, store: Store, postgres_dsn: str
) -> None:
    """Also of steps at other places, as the statistics have them."""
    deep = [part(900 + n, [step(1, None, 0, 9, name="GET /"), tool(2, 1, 0, 8, "list")], **of("s")) for n in range(30)]
    store(*deep, part(1, [step(1, None, 60_000, 60_900), tool(3, 1, 60_000, 60_800, "list")], **of("s2", "8")))
    count_all(postgres_dsn, datetime.fromtimestamp(NOON / 1e9 + 3600, UTC))
    (row,) = [row for row in viewer.get(f"/api/v1/flows/{1:032x}/usual")["rows"] if row.get("subject") == "list"]
    assert (row["status"], row["a"]["of"], row["a"]["flows"], row["a"]["timed"]) == ("slower", "kind", 0, 31)
    assert row["a"]["p50_ms"] == pytest.approx(8, rel=0.022)


def test_nothing_is_missing_from_a_step_that_still_runs() -> None:
    def started(*, ended: bool) -> FlowTree:
        return tree(
            span(1, name="POST /ask", ended=ended, start_ns=NOON),
            step(2, 1, 0, 5, event_type="auth_check", name="auth"),
        )

    assert usual_beside(started(ended=True), USUAL)["counts"]["missing"] == 4
    assert usual_beside(started(ended=False), USUAL)["counts"]["missing"] == 0


def test_a_running_flow_beside_past_ones(viewer: RunningViewer, make_flow: MakeFlow) -> None:
    running = make_flow("7")
    running.start("root", name="POST /ask")
    found = viewer.get(f"/api/v1/flows/{running.flow_id}/usual")
    assert (found["a"]["name"], found["a"]["enough"], found["b"]["open"]) == ("POST /ask", False, True)


def test_only_flows_that_they_may_see_say_what_is_usual(make_viewer: MakeViewer, store: Store, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7, VIEWER_8, ADMIN)))
    store(*(asked(100 + n, **of("s", "7" if n < 6 else "9")) for n in range(20)))
    store(part(1, [step(1, None, 60_000, 60_900, name="POST /ask")], **of("s2", "7")))
    path = f"/api/v1/flows/{1:032x}/usual"
    assert ask(viewer, ADMIN, "GET", path).json()["a"]["flows"] == 20
    assert ask(viewer, VIEWER_7, "GET", path).json()["a"]["flows"] == 6
    refused = ask(viewer, VIEWER_8, "GET", path)
    assert (refused.status_code, refused.json()["code"]) == (404, "flow_not_found")
    viewer.http.headers.update(ADMIN.bearer)
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [9], "metadata_only": True, "reason": "r"})
    assert ask(viewer, ADMIN, "GET", path).json()["a"]["flows"] == 6
