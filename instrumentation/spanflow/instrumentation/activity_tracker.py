"""`ActivityTracker` as gateways written before Spanflow know it: change the import and keep the calls.

A database session, in first place or as `db`, is accepted and not used: nothing is written on the request's time.
Anything may be passed to any of the methods; what is no plain data is left out.
"""

from typing import Any, Final

from spanflow.instrumentation.activities import (
    record_assistant_response,
    record_tool_call,
    record_tool_response,
    record_user_message,
)
from spanflow.instrumentation.call_arguments import given, plain_data
from spanflow.instrumentation.runtime import say_once

_WHOSE: Final = ("db", "conversation_id", "session_id", "user_id", "sequence_num")


class ActivityTracker:
    """Records the four activities of a conversation. Returns each one's id, or None while tracking is off.

    All methods begin with `db, conversation_id, session_id, user_id, sequence_num`.
    """

    def __init__(self, *unused: object, **also_unused: object) -> None:
        pass

    async def record_user_message(self, /, *args: Any, **data: Any) -> str | None:
        """`record_user_message(…, message)`"""
        return _recorded(record_user_message, ("message",), args, data)

    async def record_tool_call(self, /, *args: Any, **data: Any) -> str | None:
        """`record_tool_call(…, mcp_server, tool_name, parameters)`"""
        return _recorded(record_tool_call, ("mcp_server", "tool_name", "parameters"), args, data)

    async def record_tool_response(self, /, *args: Any, **data: Any) -> str | None:
        """`record_tool_response(…, mcp_server, tool_name, status, duration_ms, result_summary=None)`"""
        names = ("mcp_server", "tool_name", "status", "duration_ms", "result_summary")
        return _recorded(record_tool_response, names, args, data)

    async def record_assistant_response(self, /, *args: Any, **data: Any) -> str | None:
        """`record_assistant_response(…, message, tokens_used, model=None)`"""
        return _recorded(record_assistant_response, ("message", "tokens_used", "model"), args, data)


def _recorded(record: Any, names: tuple[str, ...], args: tuple[Any, ...], data: dict[str, Any]) -> str | None:
    try:
        fields = plain_data(given((*_WHOSE, *names), args, data))
        if isinstance(message := fields.get("message"), str):
            fields.setdefault("message_length", len(message))
        activity_id: str | None = record(**fields)
        return activity_id
    except Exception:
        say_once("activity call", "An activity could not be recorded", exc_info=True)
        return None


_tracker: Final = ActivityTracker()


def get_activity_tracker() -> ActivityTracker:
    """The one tracker of this process, under the name that such gateways import."""
    return _tracker
