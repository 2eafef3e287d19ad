"""What one socket may ask for: sockets pass the limits that requests have, message by message."""

import asyncio
from pathlib import Path

import pytest

from tests.support.live_client import live
from tests.support.people import VIEWER_8, write_tokens
from tests.support.query import value
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer

pytestmark = pytest.mark.anyio
AS_EIGHT = {"additional_headers": VIEWER_8.bearer}


@pytest.fixture
def viewer(make_viewer: MakeViewer, tmp_path: Path) -> RunningViewer:
    tokens = write_tokens(tmp_path / "tokens.toml", VIEWER_8)
    return make_viewer(viewer_tokens_file=str(tokens), viewer_requests_per_second=2.0)


async def rows(dsn: str) -> int:
    return int(await asyncio.to_thread(value, dsn, "SELECT count(*) FROM omni2.audit_log"))


async def test_one_message_does_not_fill_the_audit_log(viewer: RunningViewer, postgres_dsn: str) -> None:
    async with live(viewer, **AS_EIGHT) as client:
        assert (await client.next())["type"] == "hello"
        await client.send(type="subscribe", user_id=list(range(1000, 3000)))
        await client.send(type="ping")
        await client.of_type("pong")
        codes = [message["code"] for message in client.of("error")]
        assert codes.count("forbidden") <= 20 and codes[-1] == "too_many_requests"
        assert await rows(postgres_dsn) <= 20


async def test_many_messages_do_not_either(viewer: RunningViewer, postgres_dsn: str) -> None:
    async with live(viewer, **AS_EIGHT) as client:
        assert (await client.next())["type"] == "hello"
        for number in range(60):
            await client.send(type="subscribe", user_id=f"{number}-u")
        await client.until(lambda: [m for m in client.of("error") if m["code"] == "too_many_requests"])
        assert await rows(postgres_dsn) <= 25


async def test_a_message_that_names_more_than_a_socket_may_follow_is_cut_there(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_requests_per_second=1000.0)
    async with live(viewer) as client:
        await client.send(type="unsubscribe", user_id=list(range(5000)))
        assert (await client.of_type("error"))["code"] == "too_many_topics"


async def test_who_signs_in_by_a_message_is_counted_like_anybody(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(
        viewer_tokens_file=str(write_tokens(tmp_path / "t.toml", VIEWER_8)),
        viewer_requests_per_second=0.1,
        viewer_failed_sign_ins=1000,
    )
    said = []
    for _ in range(3):
        async with live(viewer, additional_headers={}) as client:
            await client.send(type="auth", token=VIEWER_8.token)
            said.append((await client.next()).get("code", "hello"))
    assert said == ["hello", "too_many_requests", "too_many_requests"]


@pytest.mark.parametrize("kind", [["a"], {"a": 1}, 7, None, True, "", "x" * 60_000])
async def test_a_type_that_is_none_is_refused_and_the_socket_stays_open(viewer: RunningViewer, kind: object) -> None:
    async with live(viewer, **AS_EIGHT) as client:
        assert (await client.next())["type"] == "hello"
        await client.send(type=kind)
        refused = await client.next()
        assert (refused["type"], refused["code"]) == ("error", "unknown_type")
        await client.send(type="ping")
        assert (await client.next())["type"] == "pong"
