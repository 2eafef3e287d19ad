"""What is sent when a rule fires: signed, repeated, refused, and its outcome written down."""

from datetime import datetime
from pathlib import Path

import pytest
from dirty_equals import IsStr

from spanflow.viewer_api.alerts.signature import signed_headers
from tests.support.alerts import (
    ALERTS,
    LOCAL,
    Clock,
    Moments,
    delivery,
    make_channel,
    make_rule,
)
from tests.support.poll import eventually
from tests.support.viewer_server import RunningViewer
from tests.support.webhook_receiver import WebhookReceiver
from tests.viewer_api.conftest import MakeViewer, Store


def test_deliveries_are_tried_again_with_growing_pauses_under_the_same_id(
    watched: tuple[RunningViewer, Moments], store: Store, receiver: WebhookReceiver, clock: Clock
) -> None:
    viewer, moments = watched
    channel = make_channel(viewer, receiver)
    make_rule(viewer, {"kind": "longer_than", "alert": 2000}, channels=[channel["channel_id"]])
    receiver.statuses = [500] * 3
    store(moments.flow(1, 5, took=3))
    moments.after(1)
    pauses: list[float] = []
    for attempt in range(1, 4):
        assert eventually(lambda: len(receiver.requests) == attempt, within=15)  # noqa: B023
        assert eventually(lambda: delivery(viewer)["outcome"] == "retrying")
        found = delivery(viewer)
        assert (found["http_status"], found["problem"]) == (500, "status_500")
        pauses.append(datetime.fromisoformat(found["due_at"]).timestamp() - clock.now)
        clock.now += pauses[-1] + 0.1
    assert eventually(lambda: delivery(viewer)["outcome"] == "delivered", within=15)
    assert 3.7 <= pauses[0] <= 6.3 < 22 <= pauses[1] <= 38 < 89 <= pauses[2] <= 151
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert delivery(viewer)["due_at"] is None


def test_a_receiver_that_is_gone_is_not_asked_again(
    watched: tuple[RunningViewer, Moments], store: Store, receiver: WebhookReceiver
) -> None:
    viewer, moments = watched
    channel = make_channel(viewer, receiver)
    make_rule(viewer, {"kind": "longer_than", "alert": 2000}, channels=[channel["channel_id"]])
    receiver.statuses = [410]
    store(moments.flow(1, 5, took=3))
    moments.after(1)
    assert eventually(lambda: delivery(viewer)["outcome"] == "failed", within=15)
    assert viewer.get(f"{ALERTS}/channels")["channels"][0]["enabled"] is False


def test_the_button_sends_a_signed_test_and_says_what_became_of_it(
    make_viewer: MakeViewer, receiver: WebhookReceiver
) -> None:
    viewer = make_viewer(**LOCAL)
    channel = make_channel(viewer, receiver)
    answer = viewer.post(f"{ALERTS}/channels/{channel['channel_id']}/test")
    assert (answer["delivered"], answer["http_status"]) == (True, 204)
    ((path, headers, body),) = receiver.requests
    assert path == "/hook/secret-path"
    signed = signed_headers(channel["secret"], headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert {name: headers[name] for name in signed} == signed
    assert receiver.messages == [{"type": "alert.test", "timestamp": IsStr(), "data": {"link": None}}]
    assert delivery(viewer)["outcome"] == "delivered"
    receiver.statuses = [500]
    answer = viewer.post(f"{ALERTS}/channels/{channel['channel_id']}/test")
    assert (answer["delivered"], answer["problem"]) == (False, "status_500")


def test_a_private_receiver_is_refused_unless_it_is_allowed(viewer: RunningViewer, receiver: WebhookReceiver) -> None:
    channel = make_channel(viewer, receiver)
    answer = viewer.post(f"{ALERTS}/channels/{channel['channel_id']}/test")
    assert answer["problem"] == "address_refused: 127.0.0.1 is not public; SPANFLOW_ALERT_NETWORKS allows others"
    assert receiver.requests == []


# Apprise imports modules of the standard library that are deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.may_leak("Apprise keeps an executor of its own for the whole process")
def test_apprise_sends_to_what_the_operators_file_says(
    make_viewer: MakeViewer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    file = tmp_path / "apprise.yml"
    file.write_text(f"urls:\n  - json://127.0.0.1:{receiver.port}/chat:\n      - tag: ops\n")
    viewer = make_viewer(alert_apprise=str(file))
    made = viewer.post(f"{ALERTS}/channels", {"kind": "apprise", "name": "chat", "tag": "ops"})
    assert viewer.post(f"{ALERTS}/channels/{made['channel_id']}/test")["delivered"] is True
    assert receiver.messages[0]["title"] == "Spanflow: a test of this channel"
    none = viewer.post(f"{ALERTS}/channels", {"kind": "apprise", "name": "none", "tag": "nobody"})
    answer = viewer.post(f"{ALERTS}/channels/{none['channel_id']}/test")
    assert (answer["delivered"], answer["problem"]) == (False, "no_such_tag")
