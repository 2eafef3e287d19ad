"""Log records about spans: events of models, tools and guardrails that OTLP carries as logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as Message
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from spanflow.span_processors.ids import is_id
from spanflow.span_processors.metadata_names import in_model_namespace
from spanflow.viewer_api.otlp.received import attributes_of, value_of

RESPONSE_ID: Final = "gen_ai.response.id"
#: Of these the response id says what they are about; the span in whose context they came may be the evaluator's own.
_ABOUT_RESPONSES: Final = "gen_ai.evaluation."
#: Where older instrumentations have the name of an event.
_EVENT_NAME: Final = "event.name"
_BODY: Final = "log.body"
_SEVERITY: Final = "log.severity"
_UNSPECIFIED: Final = 0

Place = tuple[int, int]
"""Trace id and span id."""


@dataclass(frozen=True, slots=True)
class LogGroup:
    """Log records of one resource."""

    resource: Resource
    schema_url: str
    records: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SpanLog:
    """A log record as it becomes a log of its span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any]
    #: The span in whose context it came, and the model's response that it is about.
    context: Place | None
    response_id: str | None

    @property
    def place(self) -> Place | None:
        """The span that it is about, if the record itself says so."""
        return None if self.response_id and (self.context is None or self._names_response) else self.context

    @property
    def _names_response(self) -> bool:
        return self.name.startswith(_ABOUT_RESPONSES)


def event_name(message: Message) -> str:
    if message.event_name:
        return message.event_name
    return next((pair.value.string_value for pair in message.attributes if pair.key == _EVENT_NAME), "")


def refusal(message: Message) -> str | None:
    """Why a record cannot be taken in; None when it can."""
    name = event_name(message)
    if not name or not in_model_namespace(f"{name.lower()}."):
        return "other_event"
    return None if context_of(message) or _response_id(message) else "no_span"


def span_log(message: Message) -> SpanLog:
    attributes = attributes_of(pair for pair in message.attributes if pair.key != _EVENT_NAME)
    if message.body.WhichOneof("value") is not None:
        attributes[_BODY] = value_of(message.body)
    if severity := message.severity_text or _severity(message.severity_number):
        attributes[_SEVERITY] = severity
    time_ns = message.time_unix_nano or message.observed_time_unix_nano
    return SpanLog(event_name(message), time_ns, attributes, context_of(message), _response_id(message))


def context_of(message: Message) -> Place | None:
    trace_id, span_id = int.from_bytes(message.trace_id, "big"), int.from_bytes(message.span_id, "big")
    right = len(message.trace_id) == 16 and len(message.span_id) == 8 and trace_id and span_id
    return (trace_id, span_id) if right else None


def _response_id(message: Message) -> str | None:
    for pair in message.attributes:
        if pair.key == RESPONSE_ID:
            text = pair.value.string_value if isinstance(pair.value, AnyValue) else ""
            return text if is_id(text) else None
    return None


def _severity(number: int) -> str:
    """OTLP counts four of each: TRACE, DEBUG, INFO, WARN, ERROR, FATAL."""
    if not _UNSPECIFIED < number <= 24:
        return ""
    return ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")[(number - 1) // 4]
