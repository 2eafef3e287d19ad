"""`spanflow play` against a real viewer: at the speed that was asked for, and in the end what is stored."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spanflow.cli.terminal.client import ViewerClient
from spanflow.cli.terminal.playback import Player, Recording, recorded
from spanflow.span_processors.tree.reducer import FlowReducer
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer
from tests.viewer_api.conftest import of

LARGE, BARE, QUICK = (f"{number:032x}" for number in (1, 2, 3))
#: Steps of the large flow.
MANY = 10_000


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    steps = [
        span(number, 1, event_type="tool_call", start_ns=NOON + number * MS, end_ns=NOON + (number + 3) * MS)
        for number in range(2, MANY + 2)
    ]
    whole = span(1, name="POST /ask", end_ns=NOON + (MANY + 10) * MS)
    quick = [span(1, name="POST /ask", end_ns=NOON + 800 * MS), span(2, 1, end_ns=NOON + 400 * MS)]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        parts = (part(1, [whole, *steps], **of("s-1")), part(2, [span(1)], **of("s-1")), part(3, quick, **of("s-1")))
        assert deliver(archives.make(), *parts).delivered == 3
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", flow_retention_days=36500) as started:
        yield started


def play(viewer: RunningViewer, *options: str) -> "tuple[str, float]":
    began = time.monotonic()
    done = spanflow("play", *options, SPANFLOW_URL=viewer.origin, SPANFLOW_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, time.monotonic() - began


def rows_after(messages: "list[dict[str, Any]]", flow_id: str) -> "list[dict[str, Any]]":
    reducer = FlowReducer()
    for message in messages:
        for event in message.get("events", ()):
            if event["flow_id"] == flow_id:
                reducer.add(event)
    return list(reducer.tree().rows())


def test_a_flow_of_ten_thousand_steps_is_played_to_its_end_in_its_time(viewer: RunningViewer) -> None:
    told, took = play(viewer, "--flow", LARGE, "--speed", "16", "--json")
    messages = [json.loads(line) for line in told.splitlines()]
    stored = viewer.get(f"/api/v1/flows/{LARGE}/flat?limit=20000")["spans"]
    played = rows_after(messages, LARGE)
    assert [(row["node_id"], row["depth"]) for row in played] == [(each["node_id"], each["depth"]) for each in stored]
    assert messages[-1] == {"type": "flow", "flow_id": LARGE, "open": False}
    lines, took = play(viewer, "--flow", LARGE, "--speed", "16")
    assert len(lines.splitlines()) == MANY + 1
    # Ten seconds, sixteen times as fast; showing every message by itself took minutes.
    assert took < 15


def test_a_flow_without_steps_is_played_and_nothing_is_said_to_be_nothing(viewer: RunningViewer) -> None:
    told, _ = play(viewer, "--flow", BARE, "--speed", "16", "--json")
    assert [json.loads(line)["type"] for line in told.splitlines()] == ["flow", "events", "events", "flow"]
    told, _ = play(viewer, "--user", "99", "--since", "2026-01-01")
    assert told == "There is nothing to play. What still runs is played only as --flow.\n"


class Hand:
    """A clock that goes as far as somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.heard: list[tuple[float, float]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def player(self, recording: Recording, speed: float, **more: Any) -> Player:
        return Player(recording, speed, clock=lambda: self.now, sleep=self.sleep, **more)

    def listen(self, player: Player, busy: float = 0.0) -> "list[tuple[float, float]]":
        heard = []
        for message in player.messages():
            heard.append((round(self.now, 3), message["at"]))
            self.now += busy
        return heard


def recording(*moments: float) -> Recording:
    return Recording(NOON, [(at, {"at": at}) for at in moments])


@pytest.mark.parametrize(
    ("speed", "more", "heard"),
    [
        (0.25, {}, [(0, 0), (4, 1), (48, 12)]),
        (16, {}, [(0, 0), (0.062, 1), (0.75, 12)]),
        (1, {"idle": 2.0}, [(0, 0), (1, 1), (3, 12)]),
        (2, {"begin": 11.0}, [(0, 0), (0, 1), (0.5, 12)]),
    ],
)
def test_messages_come_when_it_is_time(speed: float, more: "dict[str, Any]", heard: Any) -> None:
    hand = Hand()
    player = hand.player(recording(0, 1, 12), speed, **more)
    assert hand.listen(player) == heard
    assert player.now_ns() == NOON + 12_000 * MS


def test_what_showing_takes_does_not_make_it_slower(viewer: RunningViewer) -> None:
    hand = Hand()
    moments = [number / 100 for number in range(300)]
    heard = hand.listen(hand.player(recording(*moments), 1), busy=0.005)
    assert heard[-1] == (2.99, 2.99)


def test_what_changes_while_it_is_read_is_read_again(viewer: RunningViewer, redis_url: str) -> None:
    """The second page belongs to another recording than the first."""
    with FlowWriter(redis_url, "7", session_id="s-2") as flow:
        flow.start("root")
        for number in range(5_000):
            flow.start(f"step {number}", "root")
        client = Meddling(viewer, lambda: flow.end("step 0", "root"))
        found = recorded(client, {"flow_id": flow.flow_id})
        assert client.refused == 1
        messages = [message for _, message in found.messages]
        rows = rows_after(messages, flow.flow_id)
        assert len(rows) == 5_001
        assert [row["node_id"] for row in rows if row["state"] == "ended"] == ["step 0"]


class Meddling(ViewerClient):
    """Something happens after the first page."""

    def __init__(self, viewer: RunningViewer, meddle: "Callable[[], None]") -> None:
        super().__init__(viewer.origin, TOKEN)
        self._meddle = meddle
        self._asked = 0
        self.refused = 0

    def get(self, path: str, params: Any = None, *, reason: str | None = None) -> Any:
        try:
            return super().get(path, params, reason=reason)
        except Exception:
            self.refused += 1
            raise
        finally:
            self._asked += 1
            if self._asked == 1:
                self._meddle()
