"""What the instrumentation's middleware is arranged with changes nothing for the application."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

from spanflow.instrumentation.fastapi_stack import _RecordsExceptions


class Mute(Exception):
    """It cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_exception_that_cannot_say_what_it_is_stays_the_applications_own() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise Mute

    unused: Any = None
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("GET /ask")
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        with pytest.raises(Mute):
            asyncio.run(_RecordsExceptions(failing)({}, unused, unused))
