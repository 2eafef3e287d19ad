import time
from dataclasses import asdict
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.tree.flow_summary import FlowSummary, summary_of
from spanflow.span_processors.tree.prices import Price, PriceTable
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.event_strategies import events
from tests.support.flow_parts import span
from tests.support.vectors import expanded, vectors

PRICES = PriceTable(exact={"stand-in-1": Price(0.25, 0.5, 0.125, 0.25)})


def summary(vector: str) -> FlowSummary:
    return summary_of(FlowReducer(expanded(vectors()[vector])[0]).entries(), PRICES)


def step(node_id: str, event_type: str, start: int, end: int | None, parent: str = "root", **fields: Any) -> Event:
    done = {"phase": "start"} if end is None else {"phase": "end", "end_ns": str(end)}
    made = {"node_id": node_id, "parent_id": parent, "event_type": event_type, "start_ns": str(start), **done, **fields}
    return cast(Event, made)


def server(end: int | None = 100, **fields: Any) -> Event:
    return step("root", "span", 0, end, **{"parent_id": None, **fields})


def verdict(*entries: Event) -> tuple[str | None, str | None, str | None]:
    made = summary_of(entries)
    return made.outcome, made.gate, made.reason


def test_a_complete_flow_in_one_line() -> None:
    assert asdict(summary("complete_flow")) == snapshot(
        {
            "name": "POST /api/v1/ask/stream",
            "status": "unset",
            "status_message": None,
            "outcome": "ok",
            "outcome_reason": None,
            "gate": None,
            "reason": None,
            "started_ns": 1738156800000000000,
            "ended_ns": 1738156800410000000,
            "span_count": 4,
            "checkpoint_count": 3,
            "error_count": 0,
            "denied_count": 0,
            "tokens_in": 120,
            "tokens_out": 48,
            "cost": 54.0,
            "event_types": ("span", "auth_check", "llm_thinking", "tool_call"),
            "tools": ("list_snapshots",),
            "mcp_servers": ("qa_mcp",),
            "models": ("stand-in-1",),
            "steps": (
                "span:POST /api/v1/ask/stream",
                "auth_check:auth_check",
                "llm_thinking:chat stand-in",
                "tool_call:tools/call list_snapshots",
            ),
        }
    )


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("denied", ("denied", "block_check", "user is blocked")),
        ("cancelled", ("cancelled", None, None)),
        ("tool_error", ("ok", None, None)),
        ("late_identity", (None, None, None)),
        ("crash", (None, None, None)),
    ],
)
def test_how_a_flow_ended(vector: str, expected: tuple[str | None, ...]) -> None:
    made = summary(vector)
    assert (made.outcome, made.gate, made.reason) == expected


def test_a_refused_request_behind_a_plain_server_span_is_denied() -> None:
    refused = step("gate", "usage_check", 5, 9, outcome="denied", status_message="limit reached")
    assert verdict(server(), step("auth", "auth_check", 1, 4, outcome="ok"), refused) == (
        "denied",
        "usage_check",
        "limit reached",
    )


def test_a_request_that_says_itself_why_it_was_refused_is_denied_for_that() -> None:
    closed = server(outcome="denied", attributes={"flow.denied.reason": "account inactive"})
    assert verdict(closed) == ("denied", None, "account inactive")
    assert verdict(server(attributes={"flow.denied.reason": "account inactive"})) == ("ok", None, None)


def test_a_refused_tool_does_not_make_the_flow_denied_when_the_request_goes_on() -> None:
    think = step("think", "llm_thinking", 5, 90, outcome="ok")
    refused = step("gate", "mcp_permission_check", 10, 12, "think", outcome="denied")
    assert verdict(server(), think, refused)[0] == "ok"
    after = step("done", "llm_complete", 20, 21, outcome="ok")
    assert verdict(server(), step("gate", "mcp_permission_check", 10, 12, outcome="denied"), after)[0] == "ok"


def test_an_error_checkpoint_and_a_failed_server_span_are_errors() -> None:
    assert verdict(server(), step("e", "error", 10, 10, status="error"))[0] == "error"
    assert verdict(server(status="error"))[0] == "error"
    assert verdict(server(), step("t", "llm_thinking", 5, 90, outcome="error"))[0] == "error"


def test_what_the_root_says_went_wrong_counts_most() -> None:
    gone = step("t", "llm_thinking", 5, 90, outcome="error")
    assert verdict(server(outcome="cancelled"), gone)[0] == "cancelled"


def test_a_root_that_answered_well_may_have_answered_with_a_refusal() -> None:
    gate = step("g", "block_check", 5, 9, outcome="denied", attributes={"flow.denied.reason": "spam"})
    assert verdict(server(outcome="ok"), gate) == ("denied", "block_check", "spam")


def test_a_refusal_at_the_end_of_a_chain_of_steps_is_one() -> None:
    """Older gateways name the step before as the parent, which has ended by then."""
    auth = step("a", "auth_check", 0, 5, outcome="ok")
    block = step("b", "block_check", 5, 9, "a", outcome="denied")
    assert verdict(server(outcome="ok"), auth, block)[:2] == ("denied", "block_check")


def test_an_open_flow_has_no_outcome_yet() -> None:
    assert verdict(server(None), step("gate", "block_check", 5, 9, outcome="denied")) == (None, None, None)


def usage(*entries: Event) -> tuple[int, int, float | None]:
    made = summary_of(entries, PRICES)
    return made.tokens_in, made.tokens_out, made.cost


def call(node_id: str, parent: str, into: int, out: int, **more: Any) -> Event:
    attributes = {"gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out, **more}
    return step(node_id, "llm_thinking", 5, 9, parent, attributes=attributes)


def test_tokens_that_a_span_beneath_repeats_count_once() -> None:
    model = {"gen_ai.response.model": "stand-in-1"}
    ours = call("ours", "root", 10, 2, **model)
    contrib = call("contrib", "ours", 10, 2, **model)
    assert usage(server(), ours, contrib, call("second", "root", 5, 1, **model)) == (15, 3, 5.25)


def test_two_spans_side_by_side_of_the_same_answer_count_once() -> None:
    """A client that makes spans itself and is instrumented as well; a stand-in may call all of its answers the same."""
    answer = {"gen_ai.response.model": "stand-in-1", "gen_ai.response.id": "msg_1"}
    instrumented, own = call("a", "root", 10, 2, **answer), call("b", "root", 10, 2, **answer)
    own["start_ns"] = str(int(instrumented["start_ns"]) + 1)
    after = call("c", "root", 5, 1, **answer)
    after["start_ns"], after["end_ns"] = instrumented["end_ns"], str(int(instrumented["end_ns"]) + 5)
    other = call("d", "root", 5, 1, **{**answer, "gen_ai.response.id": "msg_2"})
    assert usage(server(), instrumented, own) == (10, 2, 3.5)
    assert usage(server(), instrumented, own, after, other)[:2] == (20, 4)


def test_a_cost_that_is_not_wholly_known_is_not_given() -> None:
    known = call("a", "root", 10, 2, **{"gen_ai.response.model": "stand-in-1"})
    assert usage(server(), known, call("b", "root", 1, 1, **{"gen_ai.request.model": "unknown"})) == (11, 3, None)


def test_an_agent_that_sums_up_its_calls_is_priced_by_their_model() -> None:
    agent = call("agent", "root", 10, 0)
    inner = call("inner", "agent", 10, 0, **{"gen_ai.request.model": "stand-in-1"})
    assert usage(server(), agent, inner) == (10, 0, 2.5)


TWO_MODELS = PriceTable(exact={"big": Price(10, 100, 1, 20), "small": Price(1, 10, 0.1, 2)})


def counting(node_id: str, parent: str, operation: str | None, into: int, out: int, **more: Any) -> Event:
    """A span as an instrumentation makes it."""
    operations = {} if operation is None else {"gen_ai.operation.name": operation}
    attributes = {**operations, "gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out, **more}
    return step(node_id, "span", 5, 9, parent, attributes=attributes)


def priced(*entries: Event) -> tuple[int, int, float | None]:
    made = summary_of(entries, TWO_MODELS)
    return made.tokens_in, made.tokens_out, made.cost


def test_an_agents_sum_does_not_hide_the_calls_of_two_models() -> None:
    agent = counting("agent", "root", "invoke_agent", 1000, 100)
    big = counting("big", "agent", "chat", 500, 50, **{"gen_ai.request.model": "big"})
    cached = {"gen_ai.usage.cache_read.input_tokens": 400}
    small = counting("small", "agent", "chat", 500, 50, **{"gen_ai.request.model": "small"}, **cached)
    assert priced(server(), agent, big, small) == (1000, 100, 10_640)


def test_an_agent_counts_where_none_of_its_calls_does() -> None:
    agent = counting("agent", "root", "invoke_agent", 10, 1, **{"gen_ai.request.model": "big"})
    inner = step("inner", "llm_thinking", 5, 9, "agent", attributes={"gen_ai.operation.name": "chat"})
    assert priced(server(), agent, inner) == (10, 1, 200.0)
    outer = counting("outer", "root", "invoke_workflow", 10, 1)
    assert priced(
        server(), outer, counting("a", "outer", "invoke_agent", 10, 1, **{"gen_ai.request.model": "big"})
    ) == (
        10,
        1,
        200.0,
    )


def test_of_two_nested_calls_the_inner_counts() -> None:
    outer = counting("outer", "root", "chat", 12, 3, **{"gen_ai.request.model": "alias"})
    inner = counting("inner", "outer", "chat", 10, 2, **{"gen_ai.response.model": "big"})
    raw = counting("raw", "inner", None, 10, 2, **{"gen_ai.response.model": "big"})
    assert priced(server(), outer, inner, raw) == (10, 2, 300.0)


def test_a_call_within_a_tool_of_another_call_is_one_of_its_own() -> None:
    outer = counting("outer", "root", "chat", 10, 1, **{"gen_ai.request.model": "big"})
    tool = step("tool", "tool_call", 5, 9, "outer")
    inner = counting("inner", "tool", "chat", 10, 1, **{"gen_ai.request.model": "small"})
    assert priced(server(), outer, tool, inner) == (20, 2, 220.0)


def test_steps_in_a_chain_count_each() -> None:
    """Older gateways name the step before as the parent, which has ended by then."""
    model = {"gen_ai.request.model": "big"}
    first = call("first", "root", 10, 1, **model)
    second = cast(Event, {**call("second", "first", 10, 1, **model), "start_ns": "9", "end_ns": "20"})
    assert priced(server(), first, second) == (20, 2, 400.0)


def test_fetching_an_answer_once_more_costs_nothing() -> None:
    model = {"gen_ai.request.model": "big"}
    made = counting("made", "root", "chat", 10, 1, **model)
    assert priced(server(), made, counting("again", "root", "fetch_response", 10, 1, **model)) == (10, 1, 200.0)
    assert priced(server(), counting("again", "root", "fetch_response", 10, 1, **model)) == (0, 0, None)


def test_an_inner_call_that_names_no_model_has_the_one_around_it() -> None:
    outer = counting("outer", "root", "chat", 10, 1, **{"gen_ai.request.model": "big"})
    assert priced(server(), outer, counting("inner", "outer", "chat", 10, 1)) == (10, 1, 200.0)


@pytest.mark.parametrize(
    ("read", "write"),
    [
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"),
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
        ("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_write"),
    ],
)
def test_what_goes_into_the_cache_and_comes_out_of_it_has_prices_of_its_own(read: str, write: str) -> None:
    entry = counting("a", "root", "chat", 10, 0, **{"gen_ai.request.model": "big", read: 4, write: 3})
    assert priced(server(), entry) == (10, 0, 3 * 10 + 4 * 1 + 3 * 20)


@pytest.mark.parametrize(
    ("model", "into", "out"),
    [
        ("llm.model_name", "llm.token_count.prompt", "llm.token_count.completion"),
        ("gen_ai.request.model", "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
        ("llm.request.model", "llm.usage.prompt_tokens", "llm.usage.completion_tokens"),
        ("llm.request.model_name", "llm.token_count.prompt", "llm.token_count.completion"),
        ("embedding.model_name", "llm.token_count.prompt", "llm.token_count.completion"),
    ],
)
def test_tokens_and_models_are_read_from_older_and_other_names(model: str, into: str, out: str) -> None:
    kept, _ = Redactor().attributes({model: "big", into: 10, out: 1})
    entry = step("a", "llm_thinking", 5, 9, attributes=kept)
    assert priced(server(), entry) == (10, 1, 200.0)
    assert summary_of([server(), entry]).models == ("big",)


def test_a_flow_of_an_older_gateway_tells_only_a_total() -> None:
    assert usage(server(), step("done", "llm_complete", 1, 2, attributes={"flow.data.tokens": 150})) == (0, 150, None)


def test_a_call_that_several_spans_tell_of_counts_once() -> None:
    made = summary("same_call")
    assert (made.span_count, made.checkpoint_count, made.tools) == (9, 4, ("qa-look", "look", "other"))
    assert summary("same_call_chain").checkpoint_count == 2


@given(st.lists(events(), max_size=8))
def test_any_flow_has_a_summary(given_events: list[Event]) -> None:
    made = summary_of(FlowReducer(given_events).entries())
    assert made.span_count == len({event["node_id"] for event in given_events})


def test_ten_thousand_failed_steps_within_each_other_are_quick() -> None:
    deep = [step(f"{i}", "tool_call", i, 40_000, f"{i - 1}", outcome="error", status="error") for i in range(10_000)]
    begin = time.perf_counter()
    assert summary_of(deep).error_count == 10_000
    assert time.perf_counter() - begin < 5


def test_a_step_that_the_gateway_reported_and_an_instrumentation_saw_counts_once() -> None:
    reported = {"flow.checkpoint.type": "tool_call", "flow.reported": True}
    seen = [span(1), span(2, 1, event_type="llm_thinking"), span(3, 2, event_type="tool_call")]
    assert summary_of(seen).checkpoint_count == 2
    own = [
        span(4, 1, event_type="tool_call", attributes=reported),
        span(5, 1, event_type="auth_check", attributes={"flow.checkpoint.type": "auth_check"}),
        span(6, 1, event_type="span", attributes={"flow.checkpoint.type": "span"}),
    ]
    assert summary_of([*seen, *own]).checkpoint_count == 2
