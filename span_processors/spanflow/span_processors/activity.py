"""One thing the person saw: a message, a tool call, its response, the answer. Numbered within a conversation."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_VERSION: Final = 1


def new_activity_id() -> str:
    """A fresh id. It is given when the activity is recorded, so that delivering it twice stores it once."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity as its recorder made it. Cheap to make: nothing is encoded before the encoder's thread has it."""

    type: str
    time_ns: int
    data: Mapping[str, Any] = field(default_factory=dict)
    conversation_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    #: The caller's own number, kept as it is; None lets the archive number it by time.
    sequence_num: int | None = None
    #: The span it belongs to (16 hex digits).
    node_id: str | None = None
    activity_id: str = field(default_factory=new_activity_id)

    @property
    def numbered(self) -> bool:
        """Whether its caller numbers the conversation itself, and has said whose it is."""
        return None not in (self.sequence_num, self.conversation_id, self.user_id)

    def to_bytes(self) -> bytes:
        """JSON that `from_bytes` reads, in this version or a later one. `data` must be JSON already made safe."""
        row = {
            "v": _VERSION,
            "activity_id": self.activity_id,
            "type": self.type,
            "time_ns": self.time_ns,
            "data": dict(self.data),
            "conversation_id": self.conversation_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "sequence_num": self.sequence_num,
            "node_id": self.node_id,
        }
        return orjson.dumps({key: value for key, value in row.items() if value is not None})

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Activity":
        """Read what `to_bytes` wrote. Raises `ValueError` for anything else."""
        row = orjson.loads(raw)
        if not isinstance(row, dict) or row.get("v") != _VERSION:
            raise ValueError("not an activity of a version that this release can read")
        try:
            return cls(
                type=str(row["type"]),
                time_ns=int(row["time_ns"]),
                data=row.get("data", {}),
                conversation_id=row.get("conversation_id"),
                session_id=row.get("session_id"),
                user_id=row.get("user_id"),
                sequence_num=row.get("sequence_num"),
                node_id=row.get("node_id"),
                activity_id=str(row["activity_id"]),
            )
        except (KeyError, TypeError) as why:
            raise ValueError(f"an activity without what it needs: {why}") from why
