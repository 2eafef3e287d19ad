"""How a person gets in, in a real browser: at their organisation's login page, or with a token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.axe import violations
from tests.support.checkout import ROOT
from tests.support.identity_provider import IdentityProvider, identity_provider
from tests.support.page_layout import too_wide
from tests.support.page_problems import PageProblems
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer

pytestmark = pytest.mark.browser

_DASHBOARD = ROOT / "viewer_api" / "spanflow" / "viewer_api" / "dashboard"


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        provider.becomes(claims={"sub": "7", "email": "ada@example.org", "role": "admin"})
        yield provider


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path, idp: IdentityProvider) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", dashboard=_DASHBOARD, **idp.settings) as running:
        yield running


@pytest.fixture
def stranger(page: Page, problems: PageProblems, viewer: RunningViewer) -> Iterator[Page]:
    """A page of somebody who is not signed in, so that what it asks first is answered with 401."""
    problems.expect("401")
    yield page
    page.close()  # the viewer goes first, and a page that misses it would say so


def outside(viewer: RunningViewer) -> str:
    """The viewer as another site than the provider, which is at `127.0.0.1`."""
    return viewer.origin.replace("127.0.0.1", "localhost")


def test_the_organisations_page_leads_back_signed_in_and_to_the_view_that_was_wanted(
    stranger: Page, viewer: RunningViewer, idp: IdentityProvider
) -> None:
    stranger.goto(f"{outside(viewer)}/#/flows?user_id=7")
    idp.becomes(faults=["denied"])
    stranger.get_by_role("link", name="Sign in with your organisation").click()
    expect(stranger.get_by_role("alert")).to_contain_text("The sign-in failed")
    assert "sign_in" not in stranger.url
    idp.becomes(faults=[])
    stranger.goto(f"{outside(viewer)}/#/flows?user_id=7")
    stranger.get_by_role("link", name="Sign in with your organisation").click()
    expect(stranger.get_by_role("button", name="Sign out")).to_be_visible()
    expect(stranger.get_by_text("ada@example.org").first).to_be_visible()
    assert stranger.url == f"{outside(viewer)}/#/flows?user_id=7"
    assert stranger.evaluate("document.cookie") == ""


def test_a_token_signs_in_and_stays_nowhere(stranger: Page, viewer: RunningViewer) -> None:
    stranger.goto(viewer.origin)
    field = stranger.get_by_label("Or with an access token")
    field.fill("wrong")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_contain_text("This token is wrong")
    field.fill(TOKEN)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("button", name="Sign out")).to_be_visible()
    assert TOKEN not in stranger.url
    kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, document.documentElement.outerHTML])"
    assert TOKEN not in stranger.evaluate(kept)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(stranger: Page, viewer: RunningViewer, theme: str) -> None:
    stranger.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    stranger.goto(viewer.origin)
    stranger.get_by_label("Or with an access token").fill("wrong")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_be_visible()
    assert violations(stranger) == []
    assert too_wide(stranger) == []
