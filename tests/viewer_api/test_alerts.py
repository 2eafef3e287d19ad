"""Rules fire, resolve and are told, through the API, over real flows."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from dirty_equals import IsStr
from inline_snapshot import snapshot

from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, part, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver
from tests.viewer_api.conftest import MakeViewer, Store

ALERTS = "/api/v1/alerts"
LOCAL = {"alert_networks": ("127.0.0.0/8",)}


class Clock:
    """The viewer's clock: it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


def ended_flow(number: int, ago: float, *, took: float = 1.0, outcome: str = "ok", user: str = "7") -> Any:
    """A flow that ended so many seconds ago."""
    end = time.time_ns() - int(ago * 1000) * MS
    return part(
        number,
        [span(number * 10, start_ns=end - int(took * 1000) * MS, end_ns=end, event_type="tool_call", outcome=outcome)],
        identity=Identity(user_id=user, source="web"),
    )


def make_rule(viewer: RunningViewer, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    rule: dict[str, Any] = viewer.post(ALERTS, {"name": "a rule", "condition": condition, **more})
    return rule


def make_channel(viewer: RunningViewer, receiver: WebhookReceiver) -> dict[str, Any]:
    channel: dict[str, Any] = viewer.post(
        f"{ALERTS}/channels", {"kind": "webhook", "name": "hook", "url": receiver.url}
    )
    return channel


def state_of(viewer: RunningViewer, rule: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = viewer.get(f"{ALERTS}/{rule['rule_id']}")
    return found


def kinds(viewer: RunningViewer) -> list[str]:
    return [event["kind"] for event in viewer.get(f"{ALERTS}/events")["events"]][::-1]


def test_a_slow_flow_fires_is_delivered_signed_and_resolves(
    make_viewer: MakeViewer, store: Store, receiver: WebhookReceiver
) -> None:
    viewer = make_viewer(alert_seconds=0.2, **LOCAL)
    channel = make_channel(viewer, receiver)
    rule = make_rule(
        viewer,
        {"kind": "longer_than", "alert": 2000, "warning": 500, "window_seconds": 60},
        channels=[channel["channel_id"]],
        resolve_seconds=0,
    )
    assert eventually(lambda: state_of(viewer, rule)["state"] == "ok")
    store(ended_flow(1, 58, took=3), ended_flow(2, 30, took=0.1))
    assert eventually(lambda: kinds(viewer) == ["firing", "resolved"], within=15)
    assert eventually(lambda: len(receiver.messages) == 2)
    firing, resolved = receiver.messages
    assert firing == snapshot(
        {
            "type": "alert.firing",
            "timestamp": IsStr(),
            "data": {
                "event_id": 1,
                "rule_id": IsStr(regex="[0-9a-f]{16}"),
                "name": "a rule",
                "at": IsStr(),
                "kind": "firing",
                "level": "alert",
                "condition": "longer_than",
                "value": 3000.0,
                "threshold": 2000.0,
                "unit": "ms",
                "since": IsStr(),
                "until": IsStr(),
                "flow_ids": ["00000000000000000000000000000001"],
                "flows": IsStr(regex="/api/v1/flows.min_duration_ms=500&since=.*&until=.*"),
                "link": None,
            },
        }
    )
    assert resolved["data"]["kind"] == "resolved"
