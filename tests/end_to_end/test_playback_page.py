"""Playback in a browser: the past as the live view showed it, at any speed, and in the end what is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from spanflow.span_processors.event.event import Event
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from tests.support.axe import violations
from tests.support.dashboard import store_flows
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.viewer_server import RunningViewer

pytestmark = pytest.mark.browser

A = f"{1:032x}"
#: How users 7, 8 and 9 are called; the last one is unknown.
PLAYED = ("ada@example.com", "grace@example.com", "user 9")
WHO = Identity(user_id="7", email="ada@example.com", session_id="s-1", conversation_id="c-1", source="web")


def step(
    number: int, parent: int | None, start_ms: float, end_ms: float, event_type: str = "span", **more: Any
) -> Event:
    begin, end = (NOON + int(ms * MS) for ms in (start_ms, end_ms))
    return span(number, parent, start_ns=begin, end_ns=end, event_type=event_type, **more)


def eventful(number: int = 1, at_ms: float = 0) -> FlowPart:
    """A gate, equal steps, a tool that fails, a model that thinks for half a minute, a denial, and a lost step."""
    polls = [
        step(10 + poll, 1, at_ms + 100 + poll * 10, at_ms + 105 + poll * 10, "retrieval", name="poll")
        for poll in range(6)
    ]
    return part(
        number,
        [
            step(1, None, at_ms, at_ms + 31_000, name="POST /ask"),
            step(2, 1, at_ms, at_ms + 20, "auth_check", name="auth_check"),
            *polls,
            step(
                20,
                1,
                at_ms + 200,
                at_ms + 400,
                "tool_call",
                name="tools/call list_jobs",
                outcome="error",
                status="error",
                status_message="no answer",
            ),
            step(21, 20, at_ms + 210, at_ms + 390, name="MCP send"),
            step(22, 1, at_ms + 400, at_ms + 30_400, "llm_thinking", name="chat model"),
            step(23, 1, at_ms + 30_500, at_ms + 30_600, "block_check", name="block_check", outcome="denied"),
            span(24, 1, ended=False, start_ns=NOON + int((at_ms + 30_700) * MS), name="never ended"),
        ],
        identity=WHO,
        root_ended=True,
    )


def rows(page: Page) -> list[tuple[str | None, str, str]]:
    """What stands in each row: how it looks, what it is called, how long it took."""
    found = page.locator("[data-testid=node], [data-testid=run]")
    return [
        (
            row.get_attribute("data-look"),
            row.get_by_role("gridcell").first.inner_text(),
            row.get_by_role("gridcell").nth(2).inner_text(),
        )
        for row in found.all()
    ]


@pytest.fixture
def played(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> Page:
    store_flows(postgres_dsn, tmp_path / "archive", eventful())
    signed_in.goto(f"{viewer.origin}/#/playback?flow_id={A}&at=0")
    expect(signed_in.get_by_test_id("player")).to_be_visible()
    return signed_in


def test_a_playback_ends_with_what_is_stored(played: Page, viewer: RunningViewer) -> None:
    played.keyboard.press("End")
    expect(played.get_by_test_id("flow")).to_have_attribute("data-look", "denied")
    expect(played.get_by_test_id("node").filter(has_text="never ended")).to_be_visible()
    end = rows(played)
    played.goto(f"{viewer.origin}/#/flow/{A}")
    expect(played.get_by_test_id("node").filter(has_text="never ended")).to_be_visible()
    assert len(end) > 7
    assert end == rows(played)


def test_each_moment_shows_what_had_happened_by_then(played: Page) -> None:
    assert [(look, name.split("\n")[-1]) for look, name, _ in rows(played)] == [
        ("running", "POST /ask"),
        ("running", "auth_check"),
    ]
    played.keyboard.press(".")
    expect(played.get_by_test_id("played-time")).to_contain_text("20 ms of 31.00 s")
    expect(played.get_by_test_id("node").nth(1)).to_have_attribute("data-look", "ok")
    played.keyboard.press("e")
    expect(played.get_by_test_id("played-time")).to_contain_text("400 ms of")
    expect(played.locator("[data-testid=node][data-look=error]").filter(has_text="tool_call")).to_be_visible()
    played.keyboard.press("e")
    expect(played.locator("[data-testid=node][data-look=denied]").filter(has_text="block_check")).to_be_visible()
    played.keyboard.press("Home")
    expect(played.get_by_test_id("node")).to_have_count(2)
    played.get_by_test_id("seek").fill("300")
    expect(played.locator("[data-testid=node][data-look=running]").filter(has_text="tool_call")).to_be_visible()
    expect(played.get_by_test_id("run")).to_contain_text("× 6")


def test_it_plays_as_fast_as_wanted_and_leaps_over_idle_times(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", eventful())
    signed_in.clock.install()
    signed_in.goto(f"{viewer.origin}/#/playback?flow_id={A}")
    # It begins by itself.
    expect(signed_in.get_by_test_id("player")).to_have_attribute("data-playing", "true")
    signed_in.clock.run_for(1_000)
    time = signed_in.get_by_test_id("played-time").locator("strong")
    expect(time).to_contain_text(" s")
    signed_in.keyboard.press(" ")
    expect(signed_in.get_by_test_id("player")).to_have_attribute("data-playing", "false")
    stopped = time.inner_text()
    signed_in.clock.run_for(1_000)
    assert time.inner_text() == stopped
    signed_in.keyboard.press("Home")
    signed_in.get_by_test_id("speed").click()
    signed_in.get_by_role("option", name="4×").click()
    signed_in.keyboard.press("i")
    assert "speed=4" in signed_in.url
    assert "idle=skip" in signed_in.url
    signed_in.get_by_test_id("play").click()
    # 31 seconds of which 30 are idle: a fourth of a second at fourfold speed, and the edges of the idle time.
    signed_in.clock.run_for(1_500)
    expect(time).to_have_text("31.00 s")
    expect(signed_in.get_by_test_id("player")).to_have_attribute("data-playing", "false")


def test_a_conversation_and_what_a_user_did_are_played(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", eventful(1), eventful(2, at_ms=60_000))
    for what in ("conversation_id=c-1", "user_id=7&since=2026-01-05T11:00:00Z&until=2026-01-05T13:00:00Z"):
        signed_in.goto(f"{viewer.origin}/#/playback?{what}&at=0")
        expect(signed_in.get_by_test_id("flow")).to_have_count(1)
        signed_in.keyboard.press("End")
        expect(signed_in.get_by_test_id("flow")).to_have_count(2)
        expect(signed_in.get_by_test_id("flow").first).to_have_attribute("data-look", "denied")
    signed_in.goto(f"{viewer.origin}/#/playback?user_id=8")
    expect(signed_in.get_by_test_id("empty")).to_contain_text("Nothing happened")


def test_several_users_are_played_side_by_side_on_one_clock(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    other = replace(WHO, user_id="8", email="grace@example.com", conversation_id="c-2")
    store_flows(postgres_dsn, tmp_path / "archive", eventful(1), replace(eventful(2, at_ms=40_000), identity=other))
    window = "since=2026-01-05T11:00:00Z&until=2026-01-05T13:00:00Z"
    signed_in.goto(f"{viewer.origin}/#/playback?user_id=7&user_id=8&user_id=9&{window}&at=0")
    parts = signed_in.get_by_test_id("played-part")
    expect(parts).to_have_count(3)
    seven, eight, nine = (parts.filter(has=signed_in.get_by_role("heading", name=name)) for name in PLAYED)
    expect(seven.get_by_test_id("flow")).to_have_attribute("data-open", "true")
    expect(eight).to_contain_text("Nothing had started yet at this moment.")
    expect(nine).to_contain_text("Nothing happened in this time.")
    # The end of the one is in the middle of the other.
    signed_in.get_by_test_id("seek").fill("40200")
    expect(signed_in.get_by_test_id("played-time")).to_contain_text("40.20 s of 1 min 11 s")
    expect(seven.get_by_test_id("flow")).to_have_attribute("data-look", "denied")
    expect(eight.get_by_test_id("flow")).to_have_attribute("data-look", "running")
    expect(eight.get_by_test_id("run")).to_contain_text("× 6")
    # What went wrong is found in every one of them, in the order of time.
    signed_in.keyboard.press("Home")
    for moment in ("400 ms of", "30.60 s of", "40.40 s of"):
        signed_in.keyboard.press("e")
        expect(signed_in.get_by_test_id("played-time")).to_contain_text(moment)
    signed_in.keyboard.press("End")
    expect(eight.get_by_test_id("flow")).to_have_attribute("data-look", "denied")
    eight.get_by_test_id("node").filter(has_text="auth_check").click()
    expect(signed_in.get_by_test_id("details")).to_contain_text("auth_check")
    assert violations(signed_in) == []


def test_another_user_is_added_to_what_is_played(
    signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path
) -> None:
    other = replace(WHO, user_id="8", email="grace@example.com", conversation_id="c-2")
    store_flows(postgres_dsn, tmp_path / "archive", eventful(1), replace(eventful(2), identity=other))
    window = "since=2026-01-05T11:00:00Z&until=2026-01-05T13:00:00Z"
    signed_in.goto(f"{viewer.origin}/#/playback?user_id=7&{window}&at=0")
    signed_in.get_by_test_id("user-search").fill("grace")
    signed_in.get_by_role("option", name="grace@example.com").click()
    expect(signed_in.get_by_test_id("played-part")).to_have_count(2)
    assert "user_id=7&user_id=8" in signed_in.url


def test_pages_lead_to_it(signed_in: Page, viewer: RunningViewer, postgres_dsn: str, tmp_path: Path) -> None:
    store_flows(postgres_dsn, tmp_path / "archive", eventful())
    for view, button in ((f"flow/{A}", "play-flow"), ("users/7", "play-user")):
        signed_in.goto(f"{viewer.origin}/#/{view}")
        signed_in.get_by_test_id(button).click()
        expect(signed_in.get_by_test_id("playback-page")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_player_is_accessible_and_fits_a_phone(played: Page, theme: str) -> None:
    played.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    played.keyboard.press("e")
    played.get_by_test_id("node").filter(has_text="tool_call").click()
    expect(played.get_by_test_id("details")).to_be_visible()
    wrong: list[str] = []
    for width in (1280, 390):
        played.set_viewport_size({"width": width, "height": 844})
        wide, inner = played.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner, width
        wrong += [f"at {width}: {each}" for each in violations(played)]
    assert wrong == []
