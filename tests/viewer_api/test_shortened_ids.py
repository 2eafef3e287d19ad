"""A trace id as other tools write it finds its flow: without an upper half of zeros, or with capital letters."""

from typing import Any

import pytest

from tests.support.flow_parts import part, span
from tests.support.live_client import live
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import Store

SHORT, WHOLE = "00000000000ABCde", "0000000000000000" + "00000000000abcde"
LONG = "ABCDEF0000000000000000000000000F"
ROUTES = (
    "/flows/{}",
    "/flows/{}/tree",
    "/flows/{}/flat",
    "/flows/{}/activities",
    "/flows/{}/usual",
    "/flows/{}/notes",
    "/flows/{}/export",
    "/playback?flow_id={}",
    "/shares?flow_id={}",
    "/flows/previews?flow_id={}",
    "/flows/compare?a={0}&b={0}",
)


@pytest.fixture
def stored(viewer: RunningViewer, store: Store) -> RunningViewer:
    store(part(int(WHOLE, 16), [span(1)]), part(int(LONG, 16), [span(1)]))
    return viewer


def test_every_route_about_a_flow_takes_its_trace_id_as_other_tools_write_it(stored: RunningViewer) -> None:
    for path in ROUTES:
        for given, whole in ((SHORT, WHOLE), (LONG, LONG.lower())):
            answer = stored.http.get("/api/v1" + path.format(given))
            assert answer.status_code == 200, (path, answer.text)
            assert answer.content == stored.http.get("/api/v1" + path.format(whole)).content


def test_a_list_finds_a_flow_by_its_shortened_trace_id(stored: RunningViewer) -> None:
    found = [stored.get("/api/v1/flows", params={"id": given})["flows"] for given in (SHORT, LONG, SHORT[:15])]
    assert [[flow["flow_id"] for flow in flows] for flows in found] == [[WHOLE], [LONG.lower()], []]


@pytest.mark.anyio
async def test_a_live_view_follows_a_flow_by_its_shortened_trace_id(stored: RunningViewer) -> None:
    async with live(stored) as client:
        await client.send(type="subscribe", flow_id=SHORT, reason="ticket")
        assert (await client.of_type("subscribed"))["flow_id"] == WHOLE


def test_the_terminal_shows_a_flow_by_its_shortened_trace_id(stored: RunningViewer) -> None:
    here: dict[str, Any] = {"SPANFLOW_URL": stored.origin, "SPANFLOW_TOKEN": TOKEN}
    shown = [spanflow("show", given, **here) for given in (SHORT, WHOLE)]
    assert [done.returncode for done in shown] == [0, 0], shown[0].stderr
    assert shown[0].stdout == shown[1].stdout
