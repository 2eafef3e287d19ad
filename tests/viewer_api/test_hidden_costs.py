"""What somebody may not see costs the viewer no more than what is not there: else its time would tell that it is."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.support.flow_parts import part, span
from tests.support.live_client import live
from tests.support.people import ADMIN, VIEWER_8, flow_id, write_tokens
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

pytestmark = pytest.mark.anyio
SPANS = 1200


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    return make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_8, ADMIN)))


def stream_reads(server: Any) -> int:
    stats = server.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("xrange", "xread", "xrevrange"))


async def test_no_stream_is_read_for_who_may_not_see_it(
    viewer: RunningViewer, make_flow: MakeFlow, redis_url: str
) -> None:
    flow = make_flow("7", session_id="s-7", conversation_id="c-7")
    for number in range(SPANS):
        flow.start(f"span {number}")
    paths = [
        f"/api/v1/flows/{flow.flow_id}",
        f"/api/v1/flows/{flow.flow_id}/tree",
        f"/api/v1/flows/{flow.flow_id}/flat",
        f"/api/v1/flows/compare?a={flow.flow_id}&b={flow.flow_id}",
        f"/api/v1/flows/{flow.flow_id}/usual",
        f"/api/v1/flows/{flow.flow_id}/activities",
        "/api/v1/flows/session/s-7",
        "/api/v1/monitoring/flows/session/s-7",
        "/api/v1/conversations/c-7",
        "/api/v1/flows?session_id=s-7",
        "/api/v1/flows?conversation_id=c-7",
    ]
    with redis.Redis.from_url(redis_url) as server:
        async with httpx.AsyncClient(base_url=viewer.origin, headers=VIEWER_8.bearer) as eight:
            before = stream_reads(server)
            for path in paths:
                answer = await eight.get(path)
                assert answer.status_code == 404 or answer.json()["flows"] == [], path
        async with live(viewer, additional_headers=VIEWER_8.bearer) as client:
            for topic in ({"flow_id": flow.flow_id}, {"conversation_id": "c-7"}):
                await client.send(type="subscribe", reason="curious", **topic)
                assert (await client.of_type("error"))["code"].endswith("_not_found")
        assert stream_reads(server) == before
        async with httpx.AsyncClient(base_url=viewer.origin, headers=ADMIN.bearer) as admin:
            for path in paths:
                assert (await admin.get(path)).status_code == 200, path
        assert stream_reads(server) >= before + len(paths) * (SPANS // 500)


async def test_nobody_waits_for_a_place_to_be_told_that_there_is_nothing(
    viewer: RunningViewer, make_flow: MakeFlow, store: Store
) -> None:
    """Somebody else's large flow, or theirs, is made right now: what is not theirs answers like what is not there."""
    large = make_flow("7")
    large.start("root", None)
    for number in range(600):
        large.step(f"step{number}", "root", "tool_call", tool="list")
    of_seven = part(1, [span(number, 1 if number > 1 else None) for number in range(1, 1101)], **of("s1", "7"))
    await asyncio.to_thread(store, of_seven, part(2, [span(1)], **of("s2", "8")))
    stored, own, nothing = flow_id(1), flow_id(2), "e" * 32
    paths = [
        "/api/v1/flows/compare?a={id}&b={id}",
        f"/api/v1/flows/compare?a={own}&b={{id}}",
        "/api/v1/flows/{id}/export",
        "/api/v1/flows/{id}/tree",
    ]
    async with (
        viewer.app.state.viewer.large_trees.place(),
        httpx.AsyncClient(base_url=viewer.origin, headers=VIEWER_8.bearer, timeout=5) as eight,
    ):
        for path in paths:
            answers = [await eight.get(path.format(id=id)) for id in (large.flow_id, stored, nothing)]
            assert [answer.status_code for answer in answers] == [404] * 3, path
            assert len({answer.content for answer in answers}) == 1, path
        assert (await eight.get(f"/api/v1/flows/compare?a={own}&b={own}")).status_code == 200
        assert (await eight.get(f"/api/v1/flows/{own}/export")).status_code == 200
