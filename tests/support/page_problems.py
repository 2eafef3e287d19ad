"""What a page must never do in a test, unless the test says so: report an error, fail a request, ask another host."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

_HERE: Final = frozenset({"127.0.0.1", "localhost"})
_LOCAL_SCHEMES: Final = frozenset({"about", "blob", "data"})
#: A page that is left, and a question whose answer nobody needs any more, are no failures.
_GIVEN_UP: Final = "net::ERR_ABORTED"


class PageProblems:
    """Everything wrong that the pages of one context have reported."""

    def __init__(self, context: BrowserContext) -> None:
        self._reported: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.on("weberror", lambda error: self._report(f"uncaught: {error.error}"))
        context.on("console", self._said)
        context.on("request", self._requested)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def expect(self, pattern: str) -> None:
        """From now on, problems like this are what the test is about."""
        self._expected.append(re.compile(pattern))

    @contextmanager
    def expected(self, pattern: str) -> Iterator[None]:
        """The same within a block."""
        self.expect(pattern)
        yield
        self._expected.pop()

    @property
    def unexpected(self) -> list[str]:
        return list(self._reported)

    def _report(self, problem: str) -> None:
        if not any(pattern.search(problem) for pattern in self._expected):
            self._reported.append(problem)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._report(f"console: {message.text}")

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in _LOCAL_SCHEMES and address.hostname not in _HERE:
            self._report(f"asked another host: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != _GIVEN_UP:
            self._report(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._report(f"refused: {response.request.method} {response.url} {response.status}")
