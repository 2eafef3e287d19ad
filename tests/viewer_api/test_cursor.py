"""Cursors: what a client gives back says where it was, however the feed came to write it."""

import base64
import zlib
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from spanflow.viewer_api.live.cursor import MAX_FLOWS, Cursor, CursorKey, separated, together
from spanflow.viewer_api.live.feed_state import Positions
from spanflow.viewer_api.live.topic import Kind

KEY = CursorKey(b"a secret")
FLOWS = [f"{number:032x}" for number in range(MAX_FLOWS * 2)]


def known(cursor: Cursor | None) -> tuple[int, Mapping[str, str]]:
    assert cursor is not None
    return cursor.read_ms, dict(cursor.positions)


@given(st.lists(st.tuples(st.sampled_from(FLOWS[:30]), st.booleans(), st.booleans()), max_size=60))
def test_a_feed_says_at_every_moment_exactly_where_it_is(steps: list[tuple[str, bool, bool]]) -> None:
    positions, expected = Positions(KEY), dict[str, str]()
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
            assert known(KEY.read(positions.cursor().encoded())) == (number, expected)
    kept = positions.cursor()
    before = known(kept)
    positions.move(FLOWS[-1], "1000-0")
    positions.cursor()
    assert known(kept) == before


def test_of_many_flows_the_newest_are_told() -> None:
    positions = Positions(KEY)
    for number, flow_id in enumerate(FLOWS):
        positions.move(flow_id, f"{number}-0")
    positions.cursor()
    positions.move(FLOWS[3], "900-0")
    _, told = known(KEY.read(positions.cursor().encoded()))
    assert set(told) == {*FLOWS[-MAX_FLOWS:], FLOWS[3]}
    _, fewer = known(KEY.read(positions.cursor().encoded(10)))
    assert set(fewer) == {*FLOWS[-9:], FLOWS[3]}
    assert set(known(KEY.read(KEY.cursor(0, positions.cursor().positions).encoded()))[1]) == {*FLOWS[-99:], FLOWS[3]}


def test_a_feeds_cursor_goes_together_with_others() -> None:
    positions = Positions(KEY)
    positions.move(FLOWS[0], "1-0")
    positions.cursor()
    positions.move(FLOWS[1], "2-0")
    cursor = positions.cursor()
    found = separated(together({(Kind.USER, "7"): cursor, (Kind.FLOW, FLOWS[1]): cursor}))
    assert {key: known(KEY.read(word)) for key, word in found.items()} == {
        (Kind.USER, "7"): known(cursor),
        (Kind.FLOW, FLOWS[1]): known(cursor),
    }


@given(st.text() | st.from_regex(r"[A-Za-z0-9_\-]*~?[A-Za-z0-9_\-]*!?[A-Za-z0-9_\-]*", fullmatch=True))
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert KEY.read(text) is None


def test_what_moved_must_be_a_list_of_flows_too() -> None:
    word = KEY.cursor(5, {FLOWS[0]: "1-0"}).encoded()
    assert KEY.read(word) == KEY.cursor(5, {FLOWS[0]: "1-0"})
    packed = word.partition("!")[0]
    assert KEY.read(KEY.signed(packed)) == KEY.read(KEY.signed(packed, "~WzUse31d")) == KEY.read(word)
    for moved in ("~", "~bnVsbA", "~WzEsWzJdXQ", "~WzEsIngiXQ", "~WyJhIix7fV0", "~~"):
        assert KEY.read(KEY.signed(packed, moved)) is None


@given(st.data())
def test_a_cursor_that_was_changed_anywhere_is_none(data: st.DataObject) -> None:
    positions = Positions(KEY)
    positions.move(FLOWS[0], "1-0")
    positions.cursor()
    positions.move(FLOWS[1], "2-0")
    word = positions.cursor().encoded()
    place = data.draw(st.integers(0, len(word) - 1))
    other = data.draw(st.sampled_from("AZaz09-_~!").filter(lambda char: char != word[place]))
    assert KEY.read(word) is not None
    assert KEY.read(word[:place] + other + word[place + 1 :]) is None
    assert KEY.read(word[:place]) is KEY.read(word + other) is None


def test_viewers_with_one_secret_read_each_others_cursors_and_no_others() -> None:
    word = KEY.cursor(5, {FLOWS[0]: "1-0"}).encoded()
    assert CursorKey(b"a secret").read(word) == KEY.read(word)
    assert CursorKey(b"another").read(word) is None


def test_even_a_signed_cursor_is_unpacked_to_ten_kilobytes_at_most() -> None:
    packed = base64.urlsafe_b64encode(zlib.compress(b"[1,{" + b" " * 11_000 + b"}]")).rstrip(b"=").decode()
    assert KEY.read(KEY.signed(packed)) is None


def test_of_flows_with_long_ids_as_many_are_told_as_may_be_read_again() -> None:
    long = {f"{number:0128d}": f"{number}-0" for number in range(100)}
    found = known(KEY.read(KEY.cursor(1, long).encoded()))[1]
    assert 40 < len(found) < 100 and list(found) == list(long)[-len(found) :]
