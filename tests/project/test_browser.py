"""The browser that tests of the dashboard use."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import new_context

pytestmark = pytest.mark.browser


def test_a_page_shows_what_it_is_given(page: Page, empty_postgres_dsn: str) -> None:
    page.set_content("<h1>Live</h1>")
    assert page.get_by_role("heading").text_content() == "Live"


@pytest.fixture
def origin() -> Iterator[str]:
    """Empty pages at every address, except one that does not exist."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # The browser asks for an icon on its own, and its console would tell that there is none.
        self.send_response(404 if self.path == "/nowhere" else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("setTimeout(() => { throw new Error('broken') }); null", "uncaught: broken"),
        ("console.error('broken'); null", "console: broken"),
        ("fetch('/nowhere').then(() => null)", "refused: GET http://127.0.0.1:.*/nowhere 404"),
        ("fetch('http://127.0.0.1:1').catch(() => null)", "failed: GET http://127.0.0.1:1/"),
        ("fetch('http://evil.invalid/').catch(() => null)", "asked another host: http://evil.invalid/"),
    ],
)
def test_what_a_page_does_wrong_fails_its_test(browser: Browser, origin: str, script: str, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem), new_context(browser) as (context, _):
        page = context.new_page()
        page.goto(f"{origin}/")
        page.evaluate(script)
        page.wait_for_function("new Promise((done) => setTimeout(() => done(true)))")


def test_what_a_test_expects_of_a_page_does_not_fail_it(browser: Browser, origin: str) -> None:
    with new_context(browser) as (context, problems):
        page = context.new_page()
        page.goto(f"{origin}/")
        with problems.expected("404"):
            # The console tells it in its own time.
            with page.expect_console_message(lambda message: "404" in message.text):
                page.evaluate("fetch('/nowhere').then(() => null)")
        # Of a question that is taken back there is nothing to say.
        page.evaluate(
            "(() => { const no = new AbortController(); const asked = fetch('/', {signal: no.signal});"
            " no.abort(); return asked.catch(() => null) })()"
        )
