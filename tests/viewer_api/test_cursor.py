"""Cursors: what a client gives back says where it was, however the feed came to write it."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.ids import is_id
from spanflow.viewer_api.live.cursor import MAX_FLOWS, Cursor, decoded, separated, together
from spanflow.viewer_api.live.feed_state import Positions
from spanflow.viewer_api.live.topic import Kind

FLOWS = [f"{number:032x}" for number in range(MAX_FLOWS * 2)]


def known(cursor: Cursor | None) -> tuple[int, Mapping[str, str]]:
    assert cursor is not None
    return cursor.read_ms, dict(cursor.positions)


@given(st.lists(st.tuples(st.sampled_from(FLOWS[:30]), st.booleans(), st.booleans()), max_size=60))
def test_a_feed_says_at_every_moment_exactly_where_it_is(steps: list[tuple[str, bool, bool]]) -> None:
    positions, expected = Positions(), dict[str, str]()
    for number, (flow_id, forgotten, told) in enumerate(steps):
        positions.read_ms = number
        if forgotten:
            positions.forget(flow_id)
            expected.pop(flow_id, None)
        else:
            positions.move(flow_id, f"{number}-0")
            expected[flow_id] = f"{number}-0"
        if told:
            assert known(positions.cursor()) == (number, expected)
            assert known(decoded(positions.cursor().encoded())) == (number, expected)
    kept = positions.cursor()
    before = known(kept)
    positions.move(FLOWS[-1], "1000-0")
    positions.cursor()
    assert known(kept) == before


def test_of_many_flows_the_newest_are_told() -> None:
    positions = Positions()
    for number, flow_id in enumerate(FLOWS):
        positions.move(flow_id, f"{number}-0")
    positions.cursor()
    positions.move(FLOWS[3], "900-0")
    _, told = known(decoded(positions.cursor().encoded()))
    assert set(told) == {*FLOWS[-MAX_FLOWS:], FLOWS[3]}
    _, fewer = known(decoded(positions.cursor().encoded(10)))
    assert set(fewer) == {*FLOWS[-9:], FLOWS[3]}
    assert set(known(decoded(Cursor(0, positions.cursor().positions).encoded()))[1]) == {*FLOWS[-99:], FLOWS[3]}


def test_a_feeds_cursor_goes_together_with_others() -> None:
    positions = Positions()
    positions.move(FLOWS[0], "1-0")
    positions.cursor()
    positions.move(FLOWS[1], "2-0")
    cursor = positions.cursor()
    found = separated(together({(Kind.USER, "7"): cursor, (Kind.FLOW, FLOWS[1]): cursor}))
    assert {key: known(value) for key, value in found.items()} == {
        (Kind.USER, "7"): known(cursor),
        (Kind.FLOW, FLOWS[1]): known(cursor),
    }


@given(st.text() | st.from_regex(r"[A-Za-z0-9_\-]*~?[A-Za-z0-9_\-]*", fullmatch=True))
def test_what_is_no_cursor_is_none(text: str) -> None:
    found = decoded(text)
    assert found is None or all(map(is_id, found.positions))


def test_what_moved_must_be_a_list_of_flows_too() -> None:
    word = Cursor(5, {FLOWS[0]: "1-0"}).encoded()
    assert decoded(word) == Cursor(5, {FLOWS[0]: "1-0"})
    assert [decoded(f"{word}~{rest}") for rest in ("", "bnVsbA", "WzEsWzJdXQ", "WzEsIngiXQ", "WyJhIix7fV0", "~")] == [
        None
    ] * 6
