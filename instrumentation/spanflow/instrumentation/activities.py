"""What the person saw, recorded on purpose: a message, a tool call, its response, the answer.

Each becomes a row of `user_activities`, numbered within its conversation when it is archived (no query happens here),
and an event on the current span that names it. The text itself goes only to the archive: spans also leave over OTLP.
"""

import time
from typing import Any, Final
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, get_current_span

from spanflow.instrumentation.flow import flow
from spanflow.instrumentation.identify import Id, clean_identity, identify, inherited_identity
from spanflow.instrumentation.runtime import PipelinePort, runtime, say_once
from spanflow.instrumentation.values import attribute_value
from spanflow.span_processors import names
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity

#: What of an activity is also told on the span: enough to recognise it, nothing that anyone said.
_TOLD: Final = ("mcp_server", "tool_name", "status", "duration_ms", "tokens_used", "model")
_EVENT: Final = "flow.activity"


def record_user_message(
    message: str = "",
    *,
    conversation_id: Id | None = None,
    session_id: Id | None = None,
    user_id: Id | None = None,
    sequence_num: int | None = None,
    **data: Any,
) -> str | None:
    """The person wrote `message`. Ids that are not given are those of the flow. Returns the activity's id."""
    given = clean_identity(user_id=user_id, session_id=session_id, conversation_id=conversation_id)
    return _record(names.USER_MESSAGE, given, sequence_num, {"message": message, **data})


def record_tool_call(
    mcp_server: str = "",
    tool_name: str = "",
    parameters: Any = None,
    *,
    conversation_id: Id | None = None,
    session_id: Id | None = None,
    user_id: Id | None = None,
    sequence_num: int | None = None,
    **data: Any,
) -> str | None:
    """The model called a tool for the person."""
    given = clean_identity(user_id=user_id, session_id=session_id, conversation_id=conversation_id)
    details = {"mcp_server": mcp_server, "tool_name": tool_name, "parameters": parameters, **data}
    return _record(names.MCP_TOOL_CALL, given, sequence_num, details)


def record_tool_response(
    mcp_server: str = "",
    tool_name: str = "",
    status: str = "success",
    duration_ms: float | None = None,
    *,
    conversation_id: Id | None = None,
    session_id: Id | None = None,
    user_id: Id | None = None,
    sequence_num: int | None = None,
    **data: Any,
) -> str | None:
    """The tool answered, or failed to."""
    given = clean_identity(user_id=user_id, session_id=session_id, conversation_id=conversation_id)
    details = {"mcp_server": mcp_server, "tool_name": tool_name, "status": status, "duration_ms": duration_ms, **data}
    return _record(names.MCP_TOOL_RESPONSE, given, sequence_num, details)


def record_assistant_response(
    message: str = "",
    tokens_used: int | None = None,
    *,
    conversation_id: Id | None = None,
    session_id: Id | None = None,
    user_id: Id | None = None,
    sequence_num: int | None = None,
    **data: Any,
) -> str | None:
    """What the person was answered."""
    given = clean_identity(user_id=user_id, session_id=session_id, conversation_id=conversation_id)
    return _record(
        names.ASSISTANT_RESPONSE, given, sequence_num, {"message": message, "tokens_used": tokens_used, **data}
    )


def _record(kind: str, given: Identity, sequence_num: object, data: dict[str, Any]) -> str | None:
    try:
        now = runtime()
        if now.pipeline is None or not now.activities:
            return None
        span = get_current_span()
        if span.is_recording():
            return _hand_over(kind, given, sequence_num, data, span, now.pipeline)
        # Outside of any request, as in a script: the activity gets a flow of its own rather than getting lost.
        with flow("activity") as turn:
            return _hand_over(kind, given, sequence_num, data, turn.span, now.pipeline)
    except Exception:
        say_once("activity", "An activity could not be recorded", exc_info=True)
        return None


def _hand_over(
    kind: str, given: Identity, sequence_num: object, data: dict[str, Any], span: Span, pipeline: PipelinePort
) -> str | None:
    """Hand the activity over as part of the flow that `span` belongs to, which by that is known to be this person's."""
    identity = inherited_identity(otel_context.get_current()).merged(given)
    if runtime().only_uuid_conversations and not _is_uuid(identity.conversation_id):
        say_once("activity id", "Activities are left out whose conversation id is not a UUID")
        return None
    identify(user_id=given.user_id, session_id=given.session_id, conversation_id=given.conversation_id)
    where = span.get_span_context()
    activity = Activity(
        type=kind,
        time_ns=time.time_ns(),
        data=_copy(data),
        conversation_id=identity.conversation_id,
        session_id=identity.session_id,
        user_id=identity.user_id,
        sequence_num=_number(sequence_num),
        node_id=f"{where.span_id:016x}",
    )
    pipeline.record_activity(where.trace_id, activity)
    event_attributes = {f"{_EVENT}.{word}": value for word in _TOLD if (value := activity.data.get(word)) is not None}
    span.add_event(f"{_EVENT}.{kind}", {f"{_EVENT}.id": activity.activity_id, **event_attributes})
    return activity.activity_id


def _copy(data: dict[str, Any]) -> dict[str, Any]:
    """An immutable copy. Secrets are redacted later, on the encoder's thread."""
    limit = runtime().max_text
    return {word: attribute_value(value, limit) for word, value in data.items() if value is not None}


def _number(sequence_num: object) -> int | None:
    """The caller's own number, if it is one."""
    if isinstance(sequence_num, bool) or not isinstance(sequence_num, int):
        return None
    return sequence_num if 0 <= sequence_num < 2**31 else None


def _is_uuid(value: str | None) -> bool:
    try:
        UUID(value or "")
    except ValueError:
        return False
    return True
