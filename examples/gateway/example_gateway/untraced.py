"""What the gateway calls when Spanflow is not installed. A gateway of your own would not need this file."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, Self


class Checkpoint:
    """Takes everything and records nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def set(self, **data: Any) -> Self:
        return self

    def deny(self, reason: str, **data: Any) -> Self:
        return self

    def fail(self, error: BaseException | str, **data: Any) -> Self:
        return self


def checkpoint(event_type: str, /, **data: Any) -> Checkpoint:
    return Checkpoint()


def flow(name: str = "turn", /, **data: Any) -> Checkpoint:
    return Checkpoint()


def current_checkpoint() -> Checkpoint:
    return Checkpoint()


def checkpoint_stream(
    event_type: str, source: Callable[[], AsyncGenerator[Any, Any]], /, **data: Any
) -> AsyncGenerator[Any, Any]:
    return source()


def _nothing(*arguments: Any, **data: Any) -> None:
    return None


identify = record_user_message = record_tool_call = record_tool_response = record_assistant_response = _nothing
