"""`spanflow stats` and `spanflow funnel` against a real viewer, as a person types them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.query import script
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, running_viewer

#: 2026-03-01 11:00 UTC
ELEVEN = 1_772_362_800_000_000_000
RANGE = ("--since", "2026-03-01", "--until", "2026-03-01", "--source", "web")


@pytest.fixture
def here(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A viewer with two flows: one was refused at its second gate."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260223 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-02-23 00:00Z') TO ('2026-03-02 00:00Z')",
    )
    tool = {"flow.data.tool": "list_snapshots", "flow.data.mcp": "qa_mcp"}
    root = span(1, start_ns=ELEVEN, end_ns=ELEVEN + 100 * MS, name="POST /ask")
    auth = span(2, 1, start_ns=ELEVEN, event_type="auth_check")
    call = span(3, 1, start_ns=ELEVEN, end_ns=ELEVEN + 64 * MS, event_type="tool_call", attributes=tool)
    refusal = span(4, 1, start_ns=ELEVEN, event_type="block_check", outcome="denied")
    asked = {"gen_ai.request.model": "big", "gen_ai.response.time_to_first_chunk": 0.25}
    think = span(5, 1, start_ns=ELEVEN, end_ns=ELEVEN + 90 * MS, event_type="llm_thinking", attributes=asked)
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        refused = part(2, [{**root, "outcome": "denied"}, auth, refusal])
        assert deliver(archives.make(), part(1, [root, auth, call, think]), refused).delivered == 2
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as viewer:
        yield {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN, "TZ": "UTC"}


def test_steps_are_counted_by_tool(here: dict[str, str]) -> None:
    told = spanflow("stats", "--by", "tool", *RANGE, **here)
    assert told.returncode == 0, told.stderr
    head, line = told.stdout.splitlines()
    assert head.split()[:5] == ["WHAT", "COUNT", "FLOWS", "ERRORS", "DENIED"]
    assert line.split()[:5] == ["list_snapshots", "1", "1", "0", "0"]
    assert "2026-03-01T00:00:00Z" in told.stderr
    answer = json.loads(spanflow("stats", "--by", "tool", *RANGE, "--json", **here).stdout)
    assert answer["groups"][0]["p95_ms"] == pytest.approx(64, rel=0.022)


def test_models_say_how_long_their_first_token_takes(here: dict[str, str]) -> None:
    head, line = spanflow("stats", "--by", "model", *RANGE, **here).stdout.splitlines()
    assert head.endswith("1ST TOKEN") and line.startswith("big ")
    answer = json.loads(spanflow("stats", "--by", "model", *RANGE, "--json", **here).stdout)
    assert answer["groups"][0]["first_token"]["p95_ms"] == pytest.approx(250, rel=0.022)
    assert line.split()[-2:] == [f"{answer['groups'][0]['first_token']['p95_ms']:.0f}", "ms"]


def test_the_funnel_says_where_flows_end(here: dict[str, str]) -> None:
    told = spanflow("funnel", *RANGE, **here)
    assert told.returncode == 0, told.stderr
    gates = {line.split()[0]: line.split()[1:7] for line in told.stdout.splitlines()[1:]}
    assert gates["auth_check"] == ["2", "2", "0", "0", "0", "0"]
    assert gates["block_check"] == ["1", "0", "0", "1", "0", "0"]
    assert gates["tool_call"] == ["1", "0", "1", "0", "0", "0"]
    answer = json.loads(spanflow("funnel", *RANGE, "--json", **here).stdout)
    assert answer["flows"]["count"] == 2
