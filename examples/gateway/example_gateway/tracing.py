"""Our checkpoints, where Spanflow is installed; where it is not, the same names that do nothing."""

from typing import TYPE_CHECKING

__all__ = [
    "Checkpoint",
    "checkpoint",
    "checkpoint_stream",
    "current_checkpoint",
    "flow",
    "identify",
    "record_assistant_response",
    "record_tool_call",
    "record_tool_response",
    "record_user_message",
]

if TYPE_CHECKING:
    from spanflow.instrumentation import (
        Checkpoint,
        checkpoint,
        checkpoint_stream,
        current_checkpoint,
        flow,
        identify,
        record_assistant_response,
        record_tool_call,
        record_tool_response,
        record_user_message,
    )
else:
    try:
        from spanflow.instrumentation import (
            Checkpoint,
            checkpoint,
            checkpoint_stream,
            current_checkpoint,
            flow,
            identify,
            record_assistant_response,
            record_tool_call,
            record_tool_response,
            record_user_message,
        )
    except ImportError:
        from example_gateway.untraced import (
            Checkpoint,
            checkpoint,
            checkpoint_stream,
            current_checkpoint,
            flow,
            identify,
            record_assistant_response,
            record_tool_call,
            record_tool_response,
            record_user_message,
        )
