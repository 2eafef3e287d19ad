"""A record that cannot be stored, kept with its error for inspection, so that it does not block others."""

from dataclasses import dataclass
from typing import Final

from spanflow.span_processors.flow_part import FlowPart

FLOW: Final = "flow"
SPAN: Final = "span"
ACTIVITY: Final = "activity"
USER: Final = "user"
#: Bytes of a spooled record that are no flow part at all.
UNREADABLE: Final = "unreadable"

_MAX_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Poison:
    kind: str
    flow_id: str | None
    user_id: str | None
    instance: str | None
    error: str
    payload: bytes
    sqlstate: str | None = None

    @classmethod
    def of_part(cls, part: FlowPart, error: str, sqlstate: str | None = None) -> "Poison":
        return cls(FLOW, part.flow_id, part.identity.user_id, part.instance_id, error, part.to_bytes(), sqlstate)

    def values(self) -> tuple[str | None, ...]:
        """The text columns of a row in `poison_records`; what Postgres would refuse here too is replaced."""
        texts = (self.kind, self.flow_id, self.user_id, self.instance, self.error[:_MAX_ERROR], self.sqlstate)
        return tuple(None if text is None else _storable(text) for text in texts)

    def file_name(self, number: int) -> str:
        """Where it is kept when even `poison_records` does not take it."""
        flow = "".join(char for char in self.flow_id or "unknown" if char.isalnum())[:64]
        return f"{self.kind}-{flow}-{number}.poison"


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
