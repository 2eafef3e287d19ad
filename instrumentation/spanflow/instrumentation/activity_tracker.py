"""`ActivityTracker` as gateways written before Spanflow know it: change the import and keep the calls.

The `db` argument is accepted and not used: nothing is written on the request's time.
"""

from typing import Any, Final

from spanflow.instrumentation.activities import (
    record_assistant_response,
    record_tool_call,
    record_tool_response,
    record_user_message,
)
from spanflow.instrumentation.identify import Id


class ActivityTracker:
    """Records the four activities of a conversation. Returns each one's id, or None while tracking is off."""

    async def record_user_message(
        self,
        db: object = None,
        conversation_id: Id | None = None,
        session_id: Id | None = None,
        user_id: Id | None = None,
        sequence_num: int | None = None,
        message: str = "",
        **data: Any,
    ) -> str | None:
        return record_user_message(
            message,
            conversation_id=conversation_id,
            session_id=session_id,
            user_id=user_id,
            sequence_num=sequence_num,
            **data,
        )

    async def record_tool_call(
        self,
        db: object = None,
        conversation_id: Id | None = None,
        session_id: Id | None = None,
        user_id: Id | None = None,
        sequence_num: int | None = None,
        mcp_server: str = "",
        tool_name: str = "",
        parameters: Any = None,
        **data: Any,
    ) -> str | None:
        return record_tool_call(
            mcp_server,
            tool_name,
            parameters,
            conversation_id=conversation_id,
            session_id=session_id,
            user_id=user_id,
            sequence_num=sequence_num,
            **data,
        )

    async def record_tool_response(
        self,
        db: object = None,
        conversation_id: Id | None = None,
        session_id: Id | None = None,
        user_id: Id | None = None,
        sequence_num: int | None = None,
        mcp_server: str = "",
        tool_name: str = "",
        status: str = "success",
        duration_ms: float | None = None,
        **data: Any,
    ) -> str | None:
        return record_tool_response(
            mcp_server,
            tool_name,
            status,
            duration_ms,
            conversation_id=conversation_id,
            session_id=session_id,
            user_id=user_id,
            sequence_num=sequence_num,
            **data,
        )

    async def record_assistant_response(
        self,
        db: object = None,
        conversation_id: Id | None = None,
        session_id: Id | None = None,
        user_id: Id | None = None,
        sequence_num: int | None = None,
        message: str = "",
        tokens_used: int | None = None,
        **data: Any,
    ) -> str | None:
        return record_assistant_response(
            message,
            tokens_used,
            conversation_id=conversation_id,
            session_id=session_id,
            user_id=user_id,
            sequence_num=sequence_num,
            **data,
        )


_tracker: Final = ActivityTracker()


def get_activity_tracker() -> ActivityTracker:
    """The one tracker of this process, under the name that such gateways import."""
    return _tracker
