"""Alert rules and channels, made by the API, and flows at moments of a viewer's clock."""

import time
from datetime import UTC, datetime
from typing import Any

from spanflow.span_processors.identity import Identity
from tests.support.flow_parts import MS, part, span
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.support.webhook_receiver import WebhookReceiver

ALERTS = "/api/v1/alerts"
LOCAL: dict[str, Any] = {"alert_networks": ("127.0.0.0/8",)}


class Clock:
    """The viewer's clock: it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def ended_flow(
    number: int, ago: float, *, took: float = 1.0, outcome: str = "ok", user: str = "7", now: float | None = None
) -> Any:
    """A flow that ended so many seconds ago."""
    end = int(((now or time.time()) - ago) * 1000) * MS
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


class Moments:
    """Moves a viewer's clock, and waits until the rules have been evaluated at that moment."""

    def __init__(self, viewer: RunningViewer, clock: Clock) -> None:
        self._viewer = viewer
        self._clock = clock

    def after(self, seconds: float) -> None:
        self._clock.now += seconds
        due = datetime.fromtimestamp(self._clock.now, UTC)

        def evaluated() -> bool:
            rules = self._viewer.get(ALERTS)["rules"]
            at = [rule["evaluated_at"] for rule in rules if rule["enabled"]]
            return all(moment is not None and datetime.fromisoformat(moment) >= due for moment in at)

        assert eventually(evaluated, within=15)

    def flow(self, number: int, ago: float, **more: Any) -> Any:
        """A flow that ended so many seconds before the moment of the clock."""
        return ended_flow(number, ago, now=self._clock.now, **more)

    def started(self, ago: float) -> int:
        return int((self._clock.now - ago) * 1000) * MS


def delivery(viewer: RunningViewer) -> dict[str, Any]:
    found: list[dict[str, Any]] = viewer.get(f"{ALERTS}/deliveries")["deliveries"]
    return found[0]
