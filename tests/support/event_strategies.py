"""Random events of one flow for property tests: few ids and few values, so that they meet each other often."""

from typing import Any, cast

from hypothesis import strategies as st

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event

NODE_IDS = ("a", "b", "c", "d")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 1.5, 1e-7, 1e22]),
    st.sampled_from(["", "é", "😀"]),
)
attributes = st.dictionaries(st.sampled_from(["x", "y", "user.id"]), st.one_of(scalars, st.lists(scalars, max_size=2)))
types = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["int", "double", "bytes"]), max_size=1)
times = st.integers(0, 3).map(str)
log_records = st.builds(
    lambda time, score: {"name": "r", "time_ns": time, "record": True, "score": score}, times, scalars
)


def optional(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_anywhere = optional(
    {
        "v": st.just(1),
        "flow_id": st.just("f"),
        "parent_id": st.one_of(st.none(), st.sampled_from([*NODE_IDS, "gone"])),
        "event_type": st.sampled_from([names.PLAIN_SPAN, names.TOOL_CALL, names.LLM_THINKING]),
        "name": st.sampled_from(["GET", "GET /x"]),
        "start_ns": times,
        "end_ns": times,
        "updated_ns": times,
        "status": st.sampled_from(["ok", "error", "unset"]),
        "outcome": st.sampled_from(names.OUTCOMES),
        "attributes": attributes,
        "types": types,
        "logs": st.lists(st.one_of(st.just({"name": "exception", "time_ns": "1"}), log_records), max_size=2),
        "process": st.sampled_from(["p", "q"]),
    }
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event at all, sensible or not."""
    if draw(st.integers(0, 4)) == 0:
        logs = [draw(log_records)]
        return cast(Event, {"phase": names.UPDATE, "node_id": draw(st.sampled_from(NODE_IDS)), "logs": logs})
    head = {"phase": draw(st.sampled_from(names.PHASES)), "node_id": draw(st.sampled_from(NODE_IDS))}
    return cast(Event, {**draw(_anywhere), **head})
