"""`spanflow compare` against a real viewer."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import script
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, running_viewer

A, B = f"{1:032x}", f"{2:032x}"


@pytest.fixture
def here(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where a viewer is that has two flows, the second slower and with other arguments."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        for flow, end, limit in ((1, 30, 10), (2, 80, 500)):
            attributes = {"gen_ai.tool.name": "list", "gen_ai.tool.call.arguments": json.dumps({"limit": limit})}
            spans = [
                span(1, name="POST /ask", start_ns=NOON, end_ns=NOON + (end + 20) * MS),
                span(
                    2, 1, event_type="tool_call", start_ns=NOON + 10 * MS, end_ns=NOON + end * MS, attributes=attributes
                ),
            ]
            deliver(archives.make(), part(flow, spans))
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", flow_retention_days=36500) as viewer:
        yield {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}


def test_two_flows_stand_beside_each_other(here: dict[str, str]) -> None:
    done = spanflow("compare", A, B, **here)
    assert done.returncode == 0, done.stderr
    assert done.stdout == snapshot("""\
                                                                                               first    second    change
▲ POST /ask                                                                                    50 ms    100 ms    +50 ms
  = (waiting)                                                                                  10 ms     10 ms      0 µs
  ~ tool_call  list                                                                            20 ms     70 ms    +50 ms
      gen_ai.tool.call.arguments.limit: 10 → 500
  = (waiting)                                                                                  20 ms     20 ms      0 µs

1 slower, 1 changed
""")
    assert json.loads(spanflow("compare", A, B, "--json", **here).stdout)["counts"]["changed"] == 1


def test_what_is_no_flow_is_said(here: dict[str, str]) -> None:
    done = spanflow("compare", A, "{}", **here)
    assert (done.returncode, done.stdout) == (2, "")
    done = spanflow("compare", A, f"{9:032x}", **here)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no flow with this id." in done.stderr


def test_two_groups_of_flows_are_measured_against_each_other(here: dict[str, str]) -> None:
    done = spanflow("diff", "--a", "min_duration_ms=60", "--b", "max_duration_ms=60", "--both", "tool=list", **here)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Nothing differs by more than chance.\n"
    assert done.stdout == snapshot("""\
a: 1 flows
b: 1 flows
not compared: duration_ms (set by the filters)
""")
    assert json.loads(spanflow("diff", "--json", **here).stdout)["a"] == {"sampled": 2, "complete": True}
    done = spanflow("diff", "--a", "slow", **here)
    assert (done.returncode, done.stdout) == (2, "")


def test_an_empty_group_is_named(here: dict[str, str]) -> None:
    done = spanflow("diff", "--a", "user_id=99", **here)
    assert (done.returncode, done.stderr) == (0, "Group a has no flows.\n")
    done = spanflow("diff", "--a", "user_id=99", "--b", "tool=none", **here)
    assert done.stderr == "Group a has no flows. Group b has no flows.\n"


def test_a_value_that_only_one_flow_has_is_no_none(here: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    attributes = {"gen_ai.tool.name": "list", "gen_ai.tool.call.arguments": json.dumps({"page": 2})}
    spans = [
        span(1, name="POST /ask", start_ns=NOON, end_ns=NOON + 50 * MS),
        span(2, 1, event_type="tool_call", start_ns=NOON + 10 * MS, end_ns=NOON + 30 * MS, attributes=attributes),
    ]
    with archives_in(postgres_dsn, tmp_path / "third") as archives:
        deliver(archives.make(), part(3, spans))
    shown = spanflow("compare", A, f"{3:032x}", **here).stdout.splitlines()
    assert [line.strip() for line in shown if "→" in line] == [
        "gen_ai.tool.call.arguments.limit: 10 → –",
        "gen_ai.tool.call.arguments.page: – → 2",
    ]


def test_a_difference_of_shares_is_in_points(here: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    with archives_in(postgres_dsn, tmp_path / "more") as archives:
        for number in range(10, 20):
            tool = "export" if number < 16 else "list"
            spans = [span(1, name="POST /ask", outcome="error" if number < 18 else "ok")]
            called = span(2, 1, event_type="tool_call", name=f"tools/call {tool}")
            called["attributes"] = {"gen_ai.tool.name": tool}
            deliver(archives.make(), part(number, [*spans, called]))
    done = spanflow("diff", "--a", "outcome=error", "--b", "outcome=ok", **here)
    assert [line for line in done.stdout.splitlines() if line.split()[2:3] == ["75.0%"]] == snapshot(
        [" +75.0 pp  75.0%    0.0%  tool = export                                    tool=export"]
    )
    listed = spanflow("flows", "--step", "tool_call:tools/call export", "--json", **here).stdout.splitlines()
    assert sorted(int(json.loads(line)["flow_id"], 16) for line in listed) == list(range(10, 16))


def test_one_flow_stands_beside_the_usual_one(here: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    with archives_in(postgres_dsn, tmp_path / "usual") as archives:
        for number in range(9):
            start = NOON - (9 - number) * 1000 * MS
            spans = [
                span(1, name="POST /ask", start_ns=start, end_ns=start + (40 + number) * MS),
                span(2, 1, event_type="auth_check", name="auth", start_ns=start, end_ns=start + 8 * MS),
                span(3, 1, event_type="tool_call", name="step 2", start_ns=start + 10 * MS, end_ns=start + 30 * MS),
            ]
            deliver(archives.make(), part(100 + number, spans))
    done = spanflow("compare", B, "--usual", **here)
    assert done.returncode == 0, done.stderr
    assert done.stdout == snapshot("""\
                                                                                               usual      flow    change
▲ POST /ask                                                                                    44 ms    100 ms    +56 ms
  - auth_check  auth                                                                          8.0 ms             -8.0 ms
  - tool_call  step 2                                                                          20 ms              -20 ms
  + (waiting)                                                                                            10 ms    +10 ms
  + tool_call  list                                                                                      70 ms    +70 ms
  ▲ (waiting)                                                                                  14 ms     20 ms   +6.0 ms

1 slower, 1 added, 2 missing
""")
    assert done.stderr == snapshot("Compared with 9 flows of its kind that went well in the week before.\n")
    few = spanflow("compare", f"{100:032x}", "--usual", **here)
    assert (
        few.stderr
        == "Too few to say what is unusual or missing: 0 flows of its kind that went well in the week before.\n"
    )
    assert json.loads(spanflow("compare", B, "--usual", "--json", **here).stdout)["a"]["flows"] == 9
    for wrong in ((A,), (A, B, "--usual")):
        assert spanflow("compare", *wrong, **here).returncode == 2
