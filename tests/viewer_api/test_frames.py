"""Frames as they go to sockets."""

import pytest
from websockets.frames import Frame as SocketFrame
from websockets.frames import Opcode

from spanflow.viewer_api.live.cursor import CursorKey
from spanflow.viewer_api.live.frames import EventsFrame, NoticeFrame
from spanflow.viewer_api.live.topic import Kind, Topic

KEY = CursorKey(b"a secret")
TOPIC = Topic(Kind.USER, "7", "7")


@pytest.mark.parametrize("size", [0, 60, 200, 65_000, 70_000])
def test_what_is_written_at_once_is_what_a_library_would_write(size: int) -> None:
    frame = NoticeFrame(TOPIC, "flow", {"flow_id": "ü" * size})
    assert frame.wire == SocketFrame(Opcode.TEXT, frame.data).serialize(mask=False)


def test_what_a_client_has_got_is_left_out() -> None:
    events = [{"phase": "start", "node_id": str(number), "flow_id": flow} for number in range(3) for flow in ("a", "b")]
    ids = ["1-0", "1-0", "2-0", "2-0", "10-0", "10-0"]
    frame = EventsFrame(TOPIC, events, KEY.cursor(0, {"a": "10-0", "b": "10-0"}), ids)  # type: ignore[arg-type]
    assert frame.beyond({"a": "0-1"}) is frame
    left = frame.beyond({"a": "2-0", "c": "9-0"})
    assert left.position == KEY.cursor(0, {"a": "10-0", "b": "10-0", "c": "9-0"})
    assert [(event["flow_id"], id) for event, id in zip(left.found, left.ids, strict=True)] == [
        ("b", "1-0"),
        ("b", "2-0"),
        ("a", "10-0"),
        ("b", "10-0"),
    ]
