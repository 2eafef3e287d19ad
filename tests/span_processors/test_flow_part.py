"""A flow part is the same after its way through bytes, and bytes that are none are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.flow_part import REASONS, FlowPart, UnreadablePart
from spanflow.span_processors.identity import Identity

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BLOBS = st.lists(st.binary(max_size=50), max_size=5).map(tuple)
PARTS = st.builds(
    FlowPart,
    flow_id=st.uuids().map(lambda u: u.hex),
    instance_id=TEXT,
    entries=BLOBS,
    process=st.binary(max_size=50),
    identity=st.builds(Identity, user_id=st.none() | TEXT, full_name=st.none() | TEXT),
    activities=BLOBS,
    started_ns=st.integers(0, 2**63 - 1),
    ended_ns=st.integers(0, 2**63 - 1),
    root_ended=st.booleans(),
    reason=st.sampled_from(REASONS),
    cut_spans=st.integers(0, 10**6),
)


@given(PARTS)
def test_a_part_is_the_same_after_its_way_through_bytes(part: FlowPart) -> None:
    assert FlowPart.from_bytes(part.to_bytes()) == part


@given(PARTS, st.data())
def test_a_part_that_was_cut_short_is_refused(part: FlowPart, data: st.DataObject) -> None:
    raw = part.to_bytes()
    with pytest.raises(UnreadablePart):
        FlowPart.from_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))] + b"")


@pytest.mark.parametrize(
    "raw", [b"", b"SFP1", b"SFP9{}\n", b"SFP1{}\n", b"SFP1[1]\n", b'SFP1{"lengths":[0,[],[]]}\nrest']
)
def test_bytes_that_are_no_part_are_refused(raw: bytes) -> None:
    with pytest.raises(UnreadablePart):
        FlowPart.from_bytes(raw)


def test_a_lone_surrogate_in_a_name_costs_that_letter_only() -> None:
    part = FlowPart(flow_id="0" * 32, instance_id="i", entries=(b"{}",), identity=Identity(full_name="a\ud800b"))
    assert FlowPart.from_bytes(part.to_bytes()).identity.full_name == "a?b"


def test_an_activity_is_the_same_after_its_way_through_bytes() -> None:
    activity = Activity("user_message", 5, {"message": "hi", "n": [1, 2.5, None]}, "c1", "s1", "7", 3, "0" * 16)
    assert Activity.from_bytes(activity.to_bytes()) == activity


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"v":2}', b'{"v":1,"type":"x"}', b'{"v":1}'])
def test_bytes_that_are_no_activity_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        Activity.from_bytes(raw)
