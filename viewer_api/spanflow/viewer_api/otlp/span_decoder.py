"""Received spans on their way from bytes to the encoder of their source."""

from typing import Final, TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanflow.span_processors.encoding.fast_path import SpanTemplate
from spanflow.viewer_api.otlp.log_record import RESPONSE_ID
from spanflow.viewer_api.otlp.received import ReceivedScope, ReceivedSpan
from spanflow.viewer_api.otlp.sources import Source
from spanflow.viewer_api.otlp.span_bytes import follows, pieces_of
from spanflow.viewer_api.otlp.unplaced_logs import KnownResponses

_REMEMBERED: Final = 16_384
#: Longer attributes seldom come twice.
_MOST_BYTES: Final = 512


#: A span's bytes without ids and times, and the number of its scope.
_Key: TypeAlias = tuple[bytes, bytes, int]


class SpanDecoder:
    """Reads a span only when none like it came before. Used by the ingest thread only."""

    def __init__(self, responses: KnownResponses) -> None:
        self._responses = responses
        #: With each, whether another process called such a span: it is then a root even if it has a parent.
        self._templates: dict[_Key, tuple[SpanTemplate, bool]] = {}
        self._marks: set[int] = set()

    def decode(self, data: bytes, source: Source, scope: ReceivedScope, now: float) -> None:
        """Hand one span to its source's encoder."""
        pieces = pieces_of(data)
        if pieces is None:
            self._read(data, source, scope, now)
            return
        trace_id, span_id, parent_id, times, before, after = pieces
        key = before, after, scope.number
        known = self._templates.get(key)
        if known is not None:
            template, called = known
            is_root = called or not parent_id
            source.encoder.received_like(template, trace_id, span_id, parent_id, is_root, times, now)
            return
        span, made = self._read(data, source, scope, now)
        # Spans with the id of a response are read each time, to know which span it is of.
        if made is not None and len(after) <= _MOST_BYTES and RESPONSE_ID not in span.given and self._came_before(key):
            self._remember(key, made, span.from_elsewhere)

    def _came_before(self, key: _Key) -> bool:
        """What comes once need not be remembered: many spans have an attribute that no other has."""
        mark = hash(key)
        if mark in self._marks:
            return True
        if len(self._marks) >= _REMEMBERED:
            self._marks.clear()
        self._marks.add(mark)
        return False

    def _remember(self, key: _Key, template: SpanTemplate, called: bool) -> None:
        if follows(key[1]):
            if len(self._templates) >= _REMEMBERED:
                self._templates.clear()
            self._templates[key] = template, called

    def _read(
        self, data: bytes, source: Source, scope: ReceivedScope, now: float
    ) -> tuple[ReceivedSpan, SpanTemplate | None]:
        span = ReceivedSpan(Span.FromString(data), source.resource, scope)
        template = source.encoder.received(span, now)
        if RESPONSE_ID in span.given:
            self._responses.learn(span.given[RESPONSE_ID], (span.trace_id, span.span_id))
        return span, template
