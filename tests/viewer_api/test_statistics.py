"""Statistics of a running viewer: every number of flows equals the count of the list that it links to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.people import VIEWER_7, ask, write_tokens
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer
from tests.viewer_api.test_statistics_counting import count_all

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
BEGAN = int(NOW.timestamp()) * 1_000_000_000 - 1800 * 1000 * MS
FILTERS = ("", "user_id=7", "source=chat", "outcome=denied", "tool=drop", "mcp_server=qa_mcp&min_duration_ms=1")


def step(number: int, event_type: str, took_ms: int = 2, outcome: str = "ok", parent: int = 1, **said: Any) -> Event:
    start = BEGAN + number * MS
    attributes = {f"flow.data.{name}": value for name, value in said.items() if name != "more"} | said.get("more", {})
    return span(
        number,
        parent,
        start_ns=start,
        end_ns=start + took_ms * MS,
        event_type=event_type,
        name=event_type,
        outcome=outcome,
        attributes=attributes,
    )


def root(outcome: str = "ok", ended: bool = True) -> Event:
    return span(1, start_ns=BEGAN, end_ns=BEGAN + 200 * MS, name="POST /ask", outcome=outcome, ended=ended)


TOKENS = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20, "gen_ai.request.model": "big"}
FIRST_TOKEN = {"gen_ai.response.time_to_first_chunk": 0.012}


def passed(*more: Event) -> list[Event]:
    return [step(2, "auth_check"), step(3, "usage_check"), *more]


@pytest.fixture
def counted(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Iterator[RunningViewer]:
    neo, trinity = Identity("7", session_id="s-1", source="chat"), Identity("8", session_id="s-2", source="mcp")
    asked = step(4, "llm_thinking", 50, more=TOKENS | FIRST_TOKEN)
    # One call, told by the gateway and by an SDK below it.
    called = step(5, "tool_call", 40, mcp="qa_mcp", tool="list_snapshots")
    told = step(6, "tool_call", 30, parent=5, more={"gen_ai.tool.name": "list_snapshots"})
    failed = step(7, "tool_call", 10, "error", mcp="qa_mcp", tool="drop")
    done = step(8, "llm_complete")
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        receipt = deliver(
            archives.make(),
            part(1, [root(), *passed(asked, called, told, done)], identity=neo),
            part(2, [root(), *passed(asked, called, failed, done)], identity=neo),
            part(3, [root("error"), *passed(asked, failed)], identity=trinity),
            part(4, [root("denied"), step(2, "auth_check"), step(3, "usage_check", 3, "denied")], identity=trinity),
            part(5, [root(), step(2, "auth_check", 9)], identity=neo),
            part(6, [root("cancelled"), *passed(asked)], identity=trinity),
            # Still open: it is counted when it has ended.
            part(7, [root(ended=False), *passed(asked)], root_ended=False, identity=trinity),
        )
        assert receipt.delivered == 7
    count_all(postgres_dsn, NOW)
    yield viewer


def numbers(answer: Any) -> Iterator[tuple[int, str | None]]:
    """Every number of flows in an answer, with its link."""
    if isinstance(answer, dict):
        if answer.keys() == {"count", "link"}:
            yield answer["count"], answer["link"]
        else:
            for inner in answer.values():
                yield from numbers(inner)
    elif isinstance(answer, list):
        for inner in answer:
            yield from numbers(inner)


PATHS = (
    "steps?group_by=step",
    "steps?group_by=checkpoint",
    "steps?group_by=tool",
    "steps?group_by=mcp_server",
    "steps?group_by=model&interval=hour",
    "flows?group_by=none&interval=hour",
    "flows?group_by=user",
    "flows?group_by=source",
    "funnel?",
)


def followed_links(viewer: RunningViewer, filters: str) -> int:
    """How many links were followed, each to a list as long as its number says."""
    followed = 0
    for path in PATHS:
        answer = viewer.get(f"/api/v1/statistics/{path}&{filters}")
        for count, link in set(numbers(answer)):
            if link is not None:
                assert viewer.get(f"{link}&count=exact")["count"] == {"value": count, "kind": "exact"}, (link, answer)
                followed += 1
            else:
                # A search for one tool as well as another is a search for either.
                assert count == 0 or filters.startswith(("tool=", "mcp_server=")), (path, answer)
        for group in answer.get("groups", []):
            assert group["flows"] is not None or group["other"], (path, group)
    return followed


@pytest.mark.parametrize("filters", FILTERS)
def test_every_number_of_flows_is_the_count_of_the_list_behind_it(counted: RunningViewer, filters: str) -> None:
    assert followed_links(counted, filters) > 10


@pytest.mark.parametrize("filters", ["", "min_duration_ms=1"])
def test_the_same_holds_when_a_person_was_erased(counted: RunningViewer, postgres_dsn: str, filters: str) -> None:
    before = counted.get(f"/api/v1/statistics/flows?{filters}")["groups"][0]["flows"]["count"]
    gone = counted.http.delete("/api/v1/users/8/data", headers={"X-Spanflow-Reason": "request 1"})
    assert gone.status_code == 200, gone.text
    count_all(postgres_dsn, NOW)
    assert followed_links(counted, filters) > 10
    after = counted.get(f"/api/v1/statistics/flows?{filters}")["groups"][0]["flows"]["count"]
    assert (before, after) == (6, 3)


def by_value(answer: Any) -> dict[Any, Any]:
    return {group["value"]: group for group in answer["groups"]}


@pytest.mark.parametrize("filters", ("", "&source=chat&source=mcp"))
def test_steps_are_the_same_counted_beforehand_and_from_the_flows(counted: RunningViewer, filters: str) -> None:
    """A filter that all flows pass makes the answer be counted from the flows."""
    tools = by_value(counted.get(f"/api/v1/statistics/steps?group_by=tool{filters}"))
    assert {tool: (row["steps"], row["errors"], row["flows"]["count"]) for tool, row in tools.items()} == {
        "list_snapshots": (2, 0, 2),
        "drop": (2, 2, 2),
    }
    assert tools["list_snapshots"]["p95_ms"] == pytest.approx(40, rel=0.022)
    assert tools["drop"]["p50_ms"] == pytest.approx(10, rel=0.022)
    steps = by_value(counted.get(f"/api/v1/statistics/steps?group_by=checkpoint{filters}"))
    assert steps["usage_check"]["denied"] == 1
    assert (steps["llm_thinking"]["tokens_input"], steps["llm_thinking"]["tokens_output"]) == (400, 80)
    big = by_value(counted.get(f"/api/v1/statistics/steps?group_by=model{filters}"))["big"]
    assert (big["steps"], big["first_token"]["count"]) == (4, 4)
    assert big["first_token"]["p95_ms"] == pytest.approx(12, rel=0.022)
    times = counted.get(f"/api/v1/statistics/steps?group_by=step&sort=self_ms{filters}")["groups"]
    assert times[0]["value"] == "span:POST /ask"
    # What the SDK's span took itself is the step's that tells of the same call.
    (tool_calls,) = [row for row in times if row["value"] == "tool_call:tool_call"]
    assert tool_calls["self_ms"] == pytest.approx(2 * 40 + 2 * 10)


@pytest.mark.parametrize("filters", ("", "&source=chat"))
def test_by_tool_server_and_model_attempts_to_call_them_are_counted_and_not_the_checks_before(
    viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, filters: str
) -> None:
    """A check takes a moment: counted beside the calls, it would halve their median."""
    neo = Identity("7", session_id="s-1", source="chat")
    drop = {"gen_ai.tool.name": "drop"}
    tool: dict[str, Any] = {"mcp": "qa_mcp", "more": drop}
    model: dict[str, Any] = {"more": {"gen_ai.request.model": "big"}}
    allowed = step(3, "mcp_permission_check", 1, **tool)
    called = step(4, "tool_call", 80, **tool)
    # A check within the call, and one around another, deny one attempt.
    within = step(5, "security_check", 1, "denied", parent=4, **tool)
    denied_call = step(4, "tool_call", 60, "denied", **tool)
    denied = step(6, "mcp_permission_check", 2, "denied", **tool)
    of_it = step(7, "usage_check", 1, "denied", parent=6, **tool)
    asked = step(8, "llm_thinking", 50, more=TOKENS)
    # What a gateway reports at the end has the tokens of a model that nobody timed.
    done = step(9, "llm_complete", 1, more=TOKENS | {"gen_ai.request.model": "small"})
    too_many = step(10, "usage_check", 1, "denied", **model)
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        assert deliver(
            archives.make(),
            part(1, [root(), allowed, called, asked], identity=neo),
            part(2, [root("denied"), allowed, denied_call, within], identity=neo),
            part(3, [root("denied"), denied, of_it], identity=neo),
            part(4, [root("denied"), denied, called], identity=neo),
            part(5, [root("denied"), too_many], identity=neo),
            part(6, [root(), done], identity=neo),
        ).delivered
    count_all(postgres_dsn, NOW)

    def numbers_of(group_by: str) -> dict[Any, tuple[int, int, int]]:
        groups = viewer.get(f"/api/v1/statistics/steps?group_by={group_by}{filters}")["groups"]
        return {group["value"]: (group["steps"], group["denied"], group["timed"]) for group in groups}

    assert numbers_of("tool") == {"drop": (5, 3, 3)}
    assert numbers_of("mcp_server") == {"qa_mcp": (5, 3, 3)}
    assert numbers_of("model") == {"big": (2, 1, 1), "small": (0, 0, 0)}
    by_tool = by_value(viewer.get(f"/api/v1/statistics/steps?group_by=tool{filters}"))["drop"]
    assert by_tool["p50_ms"] == pytest.approx(80, rel=0.022)
    by_model = by_value(viewer.get(f"/api/v1/statistics/steps?group_by=model{filters}"))
    assert {model: row["tokens_input"] for model, row in by_model.items()} == {"big": 100, "small": 100}
    assert by_value(viewer.get(f"/api/v1/statistics/steps?group_by=checkpoint{filters}"))["usage_check"]["denied"] == 2
    assert followed_links(viewer, filters.removeprefix("&")) > 10


@pytest.mark.parametrize("filters", ("", "&source=chat"))
def test_costs_are_added_up_in_decimal(viewer: RunningViewer, postgres_dsn: str, tmp_path: Path, filters: str) -> None:
    neo = Identity("7", session_id="s-1", source="chat", conversation_id="c-1")
    asked = step(4, "llm_thinking", 50, more=TOKENS)
    (tmp_path / "prices.json").write_text('{"models": {"big": {"input": 0.7, "output": 1.5}}}')
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        parts = [part(number, [root(), asked], identity=neo) for number in range(1, 12)]
        assert deliver(archives.make(prices=str(tmp_path / "prices.json")), *parts).delivered == 11
    count_all(postgres_dsn, NOW)
    # Each costs 100 * 0.7 + 20 * 1.5 millionths.
    answers = {
        "flow": viewer.get("/api/v1/flows?limit=1")["flows"][0]["cost"],
        "statistics": viewer.get(f"/api/v1/statistics/flows?{filters}")["groups"][0]["cost"],
        "by user": viewer.get(f"/api/v1/statistics/flows?group_by=user{filters}")["groups"][0]["cost"],
        "user": viewer.get("/api/v1/users/7")["totals"]["cost"],
        "conversation": viewer.get("/api/v1/conversations/c-1")["estimated_cost"],
    }
    assert answers == dict.fromkeys(answers, 0.0011) | {"flow": 0.0001}


def test_the_gates_of_the_funnel(counted: RunningViewer) -> None:
    answer = counted.get("/api/v1/statistics/funnel")
    ways = ("reached", "passed", "ended", "denied", "failed", "abandoned")
    assert {gate["gate"]: [gate[way]["count"] for way in ways] for gate in answer["gates"]} == {
        "auth_check": [6, 5, 1, 0, 0, 0],
        "security_check": [0, 0, 0, 0, 0, 0],
        "block_check": [0, 0, 0, 0, 0, 0],
        "usage_check": [5, 4, 0, 1, 0, 0],
        "llm_thinking": [4, 3, 0, 0, 0, 1],
        "tool_call": [3, 2, 0, 0, 1, 0],
        "llm_complete": [2, 0, 1, 0, 1, 0],
    }
    assert answer["flows"]["count"] == 6
    assert answer["gates"][0]["p95_ms"] == pytest.approx(9, rel=0.022)


def test_a_step_says_at_which_percentile_of_its_kind_it_is(
    make_viewer: MakeViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        parts = [part(number, [root(), step(2, "tool_call", number)]) for number in range(1, 101)]
        # This one went wrong; it is compared with those that went well.
        parts.append(part(101, [root(), step(2, "tool_call", 96, "error")]))
        assert deliver(archives.make(), *parts).delivered == 101
    count_all(postgres_dsn, NOW)
    viewer = make_viewer()

    def percentile(number: int) -> Any:
        nodes = viewer.get(f"/api/v1/flows/{number:032x}/flat")["spans"]
        return next(node.get("percentile") for node in nodes if node["event_type"] == "tool_call")

    eventually(lambda: percentile(50) is not None)
    assert percentile(1) == pytest.approx(1, abs=1)
    assert percentile(50) == pytest.approx(50, abs=2.5)
    assert percentile(101) == pytest.approx(96, abs=2.5)


def test_users_with_their_flows(counted: RunningViewer) -> None:
    users = by_value(counted.get("/api/v1/statistics/flows?group_by=user"))
    assert {user: (row["flows"]["count"], row["flows_denied"]["count"]) for user, row in users.items()} == {
        7: (3, 0),
        8: (3, 1),
    }
    assert users[7]["tokens_input"] == 200


def test_who_may_see_only_some_people_gets_statistics_of_them(
    counted: RunningViewer, make_viewer: MakeViewer, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7)))
    answer = ask(viewer, VIEWER_7, "GET", "/api/v1/statistics/funnel").json()
    assert answer["flows"]["count"] == 3
    assert ask(viewer, VIEWER_7, "GET", "/api/v1/statistics/flows?user_id=8").status_code == 403
    users = ask(viewer, VIEWER_7, "GET", "/api/v1/statistics/flows?group_by=user").json()["groups"]
    assert [user["value"] for user in users] == [7]
    for count, link in numbers(answer):
        assert link is None or ask(viewer, VIEWER_7, "GET", f"{link}&count=exact").json()["count"]["value"] == count


def test_what_cannot_be_answered_is_refused(counted: RunningViewer) -> None:
    for asked in (
        "steps?group_by=nothing",
        "flows?sort=name",
        "funnel?count=exact",
        "steps?nosuch=1",
        "flows?interval=week",
        "flows?interval=minute&since=2020-01-01&until=2020-01-02",
        "funnel?since=2026-02-01&until=2026-01-01",
    ):
        answer = counted.http.get(f"/api/v1/statistics/{asked}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), asked
    assert counted.http.get("/api/v1/statistics/funnel?since=1990-01-01").json()["code"] == "range_too_long"
    assert counted.http.get("/api/v1/statistics/funnel", headers={"Authorization": "Bearer no"}).status_code == 401


def test_it_is_in_the_audit_log(counted: RunningViewer, postgres_dsn: str) -> None:
    counted.get("/api/v1/statistics/steps?group_by=tool&user_id=7")
    rows = query(postgres_dsn, "SELECT target, target_user FROM omni2.audit_log WHERE action = 'statistics_read'")
    assert [dict(row) for row in rows] == [{"target": "steps", "target_user": "7"}]
