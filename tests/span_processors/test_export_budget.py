"""What is searched for secrets of one request on its way to a collector, however many spans and batches it comes in."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status, StatusCode

from spanflow.span_processors.opentelemetry_versions import LogRecordExporter, LogRecordExportResult
from spanflow.span_processors.redaction.redacting_exporter import RedactingExporter
from spanflow.span_processors.redaction.redacting_log_exporter import RedactingLogExporter
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redaction.text_budget import FlowBudgets
from tests.support.log_records import log_record, readable

MOST = 40_000
LONG = "eyJ" * 2900
HOSTILE, OTHER = 7, 8


class Counting(Redactor):
    """Counts what is really searched, in every copy of it."""

    def __init__(self, **policy: Any) -> None:
        super().__init__(RedactionPolicy(max_flow_text=MOST, **policy))
        self.searched: list[int] = []

    def _without_secrets(self, value: str) -> tuple[str, int]:
        self.searched.append(len(value))
        return super()._without_secrets(value)


class Spans(SpanExporter):
    def __init__(self) -> None:
        self.taken: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += spans
        return SpanExportResult.SUCCESS


class Records(LogRecordExporter):
    def __init__(self) -> None:
        self.taken: list[Any] = []

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        self.taken += batch
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def span(trace_id: int, number: int) -> ReadableSpan:
    text = f"{number} {LONG}"
    return ReadableSpan(
        name="call",
        context=SpanContext(trace_id, number + 1, False),
        resource=Resource.get_empty(),
        attributes={"http.url": text},
        events=[Event("more", {"detail": f"token=hunter2secret {text}"})],
        status=Status(StatusCode.ERROR, text),
    )


def record(trace_id: int, number: int) -> Any:
    body = f"token=hunter2secret {number} {LONG}"
    return readable(log_record(trace_id=trace_id, body=body, attributes={"note": LONG}))


def urls(spans: list[ReadableSpan], trace_id: int) -> list[str]:
    own = [each for each in spans if each.context is not None and each.context.trace_id == trace_id]
    return [str((each.attributes or {})["http.url"]) for each in own]


def test_a_flow_has_only_so_much_searched_in_all_its_batches() -> None:
    redactor, sink = Counting(), Spans()
    exporter = RedactingExporter(sink, redactor)
    for batch in range(10):
        exporter.export([span(HOSTILE, 10 * batch + number) for number in range(10)])
    long = [size for size in redactor.searched if size > 256 + 512]
    assert sum(long) < MOST + 8192 + len(long) * 512
    # Three texts of each span, which are shortened before they are searched.
    assert len(redactor.searched) < 100 * 3 + 50
    assert sum(redactor.searched) < MOST + 300 * (256 + 512)
    assert all(len(text) < 300 and text.endswith(" more characters]") for text in urls(sink.taken, HOSTILE)[-50:])
    assert "hunter2secret" not in str([each.events[0].attributes for each in sink.taken])


def test_each_flow_has_its_own_share_also_within_one_batch() -> None:
    redactor, sink = Counting(), Spans()
    exporter = RedactingExporter(sink, redactor)
    exporter.export([*(span(HOSTILE, number) for number in range(20)), span(OTHER, 0)])
    assert len(urls(sink.taken, OTHER)[0]) > 8192
    assert len(urls(sink.taken, HOSTILE)[-1]) < 300


def test_log_records_of_a_flow_share_one_budget_and_those_of_no_flow_have_their_own() -> None:
    redactor, sink = Counting(content="full"), Records()
    exporter = RedactingLogExporter(sink, redactor)
    for batch in range(10):
        exporter.export([record(HOSTILE, 10 * batch + number) for number in range(10)])
    assert sum(redactor.searched) < MOST + 200 * (256 + 512)
    assert "hunter2secret" not in str([each.log_record.body for each in sink.taken])
    assert len(str(sink.taken[-1].log_record.body)) < 300
    exporter.export([record(0, number) for number in range(10)])
    assert all(len(str(each.log_record.body)) > 8192 for each in sink.taken[-10:])


def test_that_texts_are_shortened_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    exporter = RedactingExporter(Spans(), Counting())
    for _ in range(3):
        exporter.export([span(HOSTILE, number) for number in range(20)])
    assert [each.getMessage() for each in caplog.records if "SPANFLOW_MAX_FLOW_TEXT" in each.getMessage()] == [
        "Texts of a flow that is exported were shortened: it has used up SPANFLOW_MAX_FLOW_TEXT. Not said again."
    ]


def test_the_memory_of_flows_is_bounded() -> None:
    budgets = FlowBudgets(100, most=10)
    first = budgets.of(1)
    assert budgets.of(1) is first
    for number in range(1, 1000):
        budgets.of(number).left = 0
    assert len(budgets._budgets) <= 10
    assert budgets.of(0) is not budgets.of(0)
