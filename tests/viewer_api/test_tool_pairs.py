"""Which response of a tool belongs to which call."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spanflow.viewer_api.conversations.tool_pairs import paired

CALL, RESPONSE, MESSAGE = "mcp_tool_call", "mcp_tool_response", "user_message"


def step(name: str, kind: str, tool: str | None = None, **more: Any) -> dict[str, Any]:
    blank = {"flow_id": "f", "node_id": None, "mcp_server": None, "call_id": None}
    return {**blank, "activity_id": name, "activity_type": kind, "tool_name": tool, **more}


def test_one_after_the_other() -> None:
    steps = [step("a", CALL, "x"), step("b", RESPONSE, "x"), step("c", CALL, "x"), step("d", RESPONSE, "x")]
    assert paired(steps) == {"a": "b", "c": "d"}


def test_side_by_side_by_tool_and_by_span() -> None:
    steps = [step("a", CALL, "x"), step("b", CALL, "y"), step("c", RESPONSE, "y"), step("d", RESPONSE, "x")]
    assert paired(steps) == {"a": "d", "b": "c"}
    same_tool = [
        *(step("a", CALL, "x", node_id="1"), step("b", CALL, "x", node_id="2")),
        *(step("c", RESPONSE, "x", node_id="2"), step("d", RESPONSE, "x", node_id="1")),
    ]
    assert paired(same_tool) == {"a": "d", "b": "c"}


def test_an_id_of_the_call_counts_most_and_over_flows() -> None:
    steps = [
        *(step("a", CALL, "x", call_id="1"), step("b", CALL, "x", call_id="2")),
        *(step("c", RESPONSE, "x", call_id="2"), step("d", RESPONSE, None, call_id="1", flow_id="later")),
    ]
    assert paired(steps) == {"a": "d", "b": "c"}


def test_a_response_that_says_nothing_answers_the_earliest_open_call_of_its_flow() -> None:
    steps = [
        *(step("a", CALL, "x", flow_id="other"), step("b", CALL, "y"), step("c", CALL, "z")),
        *(step("d", RESPONSE), step("e", RESPONSE), step("f", RESPONSE)),
    ]
    assert paired(steps) == {"b": "d", "c": "e"}


def test_what_contradicts_is_no_pair() -> None:
    assert paired([step("a", RESPONSE, "x"), step("b", CALL, "x")]) == {}
    assert paired([step("a", CALL, "x"), step("b", RESPONSE, "y")]) == {}
    assert paired([step("a", CALL, "x", mcp_server="s"), step("b", RESPONSE, "x", mcp_server="t")]) == {}
    assert paired([step("a", CALL, "x", call_id="1"), step("b", RESPONSE, "x", call_id="2")]) == {}
    assert paired([step("a", MESSAGE), step("b", RESPONSE)]) == {}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([CALL, RESPONSE, MESSAGE]),
        st.sampled_from([None, "x", "y"]),
        st.sampled_from(["f", "g"]),
        st.sampled_from([None, "1", "2"]),
        st.sampled_from([None, "i", "j"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_activity_is_told_once(drawn: list[tuple[Any, ...]]) -> None:
    """A call has one response at most and comes before it; a response belongs to one call."""
    steps = [
        step(f"{n}", kind, tool, flow_id=flow, node_id=node, call_id=call)
        for n, (kind, tool, flow, node, call) in enumerate(drawn)
    ]
    kinds = {each["activity_id"]: each["activity_type"] for each in steps}
    pairs = paired(steps)
    assert len(set(pairs.values())) == len(pairs)
    for call, response in pairs.items():
        assert (kinds[call], kinds[response]) == (CALL, RESPONSE)
        assert int(call) < int(response)
