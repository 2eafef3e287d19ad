"""The browser that tests of the dashboard use."""

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import new_page

pytestmark = pytest.mark.browser


def test_a_page_shows_what_it_is_given(page: Page, empty_postgres_dsn: str) -> None:
    page.set_content("<h1>Live</h1>")
    assert page.get_by_role("heading").text_content() == "Live"


def test_an_error_on_a_page_fails_its_test(browser: Browser) -> None:
    with pytest.raises(AssertionError, match="the page reported"), new_page(browser) as page:
        page.set_content("<script>throw new Error('broken')</script>")
        page.evaluate("1")
