import importlib
import json
import math
from importlib.resources import files
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.event.event import Event, EventError, decode, encode, is_checkpoint, restored
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.event_strategies import events


def event(**fields: Any) -> Event:
    return cast(Event, {"phase": "start", "node_id": "a", **fields})


def there_and_back(attributes: dict[str, Any]) -> dict[str, Any]:
    return restored(decode(encode(event(attributes=attributes))))["attributes"]


any_value = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.binary(max_size=8),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=0), inner)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), any_value))
def test_attribute_values_come_back_as_they_were(attributes: dict[str, Any]) -> None:
    back = there_and_back(attributes)
    assert back == attributes
    assert repr(back) == repr(attributes)  # 1 and 1.0 and True, 0.0 and -0.0 are equal, but not the same


def test_what_json_cannot_say_is_named_in_types() -> None:
    attributes = {
        "big": 2**63,
        "raw": b"hi",
        "whole": 3.0,
        "nan": math.nan,
        "list": [1.5, 2.0],
        "map": {"n": -math.inf},
    }
    assert json.loads(encode(event(attributes=attributes))) == snapshot(
        {
            "phase": "start",
            "node_id": "a",
            "attributes": {
                "big": "9223372036854775808",
                "raw": "aGk=",
                "whole": 3,
                "nan": "NaN",
                "list": [1.5, 2],
                "map": {"n": "-Infinity"},
            },
            "types": {
                "big": "int",
                "raw": "bytes",
                "whole": "double",
                "nan": "double",
                "list": {"1": "double"},
                "map": {"n": "double"},
            },
        }
    )


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_text_that_postgres_or_unicode_cannot_hold_is_replaced() -> None:
    unsafe = event(name="a\x00b", status_message="\ud800", attributes={"k\x00": ["x\x00", "\udfff"], "\ud801": 1})
    assert json.loads(encode(unsafe)) == snapshot(
        {
            "phase": "start",
            "node_id": "a",
            "name": "a\ufffdb",
            "status_message": "\ufffd",
            "attributes": {"k\ufffd": ["x\ufffd", "\ufffd"], "\ufffd": 1},
        }
    )


def test_an_attribute_that_only_looks_like_a_nul_is_kept() -> None:
    assert there_and_back({"path": r"C:\u0000"}) == {"path": r"C:\u0000"}


def test_values_of_other_types_are_described() -> None:
    assert there_and_back({"type": int, "bad": Unprintable(), "set": {1}, "huge": 10**5000}) == {
        "type": "<class 'int'>",
        "bad": "<Unprintable>",
        "set": [1],
        "huge": hex(10**5000),
    }


def test_endless_values_are_cut() -> None:
    endless: list[Any] = []
    endless.extend([endless, endless])
    assert len(encode(event(attributes={"deep": endless, "long": list(range(100_000)), "after": 1}))) < 200_000


def test_logs_and_links_are_made_safe_too() -> None:
    made = event(
        links=[{"trace_id": "0" * 32, "span_id": "0" * 16, "attributes": {"n": 2.0}}],
        logs=[{"name": "exception", "time_ns": "1", "attributes": {"raw": b"\x00"}}],
    )
    decoded = decode(encode(made))
    assert decoded["links"][0]["types"] == {"n": "double"}
    assert decoded["logs"][0]["attributes"] == {"raw": "AA=="}
    assert restored(decoded) == made


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'"x"', b"\xff", '{"phase":"end"}', b'{"node_id":"a","phase":"no"}']
)
def test_what_is_no_event_is_refused(data: bytes | str) -> None:
    with pytest.raises(EventError):
        decode(data)


@pytest.mark.parametrize(
    "field",
    [
        '"flags":null',
        '"flags":"1"',
        '"flags":-1',
        '"flags":true',
        '"links":[{"trace_id":7}]',
        '"links":[{"span_id":null}]',
        '"links":[{"flags":{}}]',
        '"links":[{"trace_state":[]}]',
        '"logs":[{"name":{}}]',
        '"logs":[{"time_ns":1}]',
        '"logs":[{"time_ns":"soon"}]',
    ],
)
def test_a_field_of_another_type_is_refused(field: str) -> None:
    """Whoever may write to Redis could have every reader of the flow fail otherwise."""
    with pytest.raises(EventError):
        decode(f'{{"node_id":"a","phase":"end",{field}}}')


def test_an_event_that_no_writer_could_write_again_is_refused() -> None:
    deep = b'{"node_id":"a","phase":"end","attributes":{"x":' + b"[" * 500 + b"]" * 500 + b"}}"
    with pytest.raises(EventError, match="nested"):
        decode(deep)


def test_a_nul_from_a_foreign_writer_is_replaced_when_read() -> None:
    assert decode(b'{"node_id":"a","phase":"end","name":"x\\u0000y"}')["name"] == "x\ufffdy"


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        decode(data)
    except EventError:
        pass


def test_an_event_of_an_older_gateway_is_translated() -> None:
    old = {
        "type": "flow_event",
        "user_id": 123,
        "session_id": "s-1",
        "node_id": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        "event_type": "tool_call",
        "parent_id": None,
        "timestamp": 1738156800.123,
        "mcp": "qa_mcp",
        "tool": "list_snapshots",
        "duration_ms": 150,
        "status": "success",
    }
    assert decode(json.dumps(old)) == snapshot(
        {
            "phase": "end",
            "node_id": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
            "parent_id": None,
            "event_type": "tool_call",
            "name": "tool_call",
            "start_ns": "1738156800123000000",
            "end_ns": "1738156800273000000",
            "status": "unset",
            "outcome": "ok",
            "attributes": {
                "user.id": "123",
                "flow.session_id": "s-1",
                "flow.data.status": "success",
                "flow.data.mcp": "qa_mcp",
                "flow.data.tool": "list_snapshots",
            },
        }
    )


@pytest.mark.parametrize(
    ("status", "outcome"), [("error", "error"), ("FAILED", "error"), ("denied", "denied"), ("ok", "ok"), (None, None)]
)
def test_the_status_words_of_older_gateways(status: str | None, outcome: str | None) -> None:
    old = {"node_id": "a", "event_type": "auth_check", "timestamp": "12.5", "status": status}
    translated = decode(json.dumps(old))
    assert translated.get("outcome") == outcome
    assert translated["start_ns"] == "12500000000"


@given(
    st.dictionaries(
        st.sampled_from(["node_id", "timestamp", "duration_ms", "status", "user_id", "event_type"]), any_value
    )
)
def test_damaged_events_of_older_gateways_are_refused_or_read(old: dict[str, Any]) -> None:
    try:
        translated = FlowReducer([cast(Event, {**old, "node_id": "a"})]).entries()
    except EventError:
        return
    assert translated[0]["node_id"] == "a"


schema = json.loads((files("spanflow.span_processors.event") / "event.schema.json").read_text())
validator: Any = importlib.import_module("jsonschema").Draft202012Validator(schema)


def valid(made: Event) -> bool:
    return bool(validator.is_valid(json.loads(orjson.dumps(made))))


@given(st.lists(events(), max_size=4))
def test_events_and_merged_entries_fit_the_schema(given_events: list[Event]) -> None:
    for made in [*given_events, *FlowReducer(given_events).entries()]:
        assert valid(made), list(validator.iter_errors(json.loads(orjson.dumps(made))))


@pytest.mark.parametrize("field", [{"phase": "begin"}, {"node_id": "a/b"}, {"start_ns": 7}, {"outcome": "fine"}])
def test_the_schema_refuses_what_is_no_event(field: dict[str, Any]) -> None:
    assert not valid(event(**field))


def test_the_schema_names_every_field_of_the_type() -> None:
    assert set(schema["properties"]) == set(Event.__annotations__)


def test_only_a_span_with_a_type_of_its_own_is_a_checkpoint() -> None:
    assert is_checkpoint(event(event_type="tool_call"))
    assert is_checkpoint(event(event_type="our_own_check"))
    assert not is_checkpoint(event(event_type="span"))
    assert not is_checkpoint(event())
