"""Which flows the reaper leaves alone for a while, because archiving them failed while others could be archived."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

_FIRST_PAUSE: Final = 20.0
_LONGEST_PAUSE: Final = 3600.0


@dataclass(slots=True)
class _Record:
    failures: int = 0
    #: Failures of which it is not known whether the flow or the server is at fault.
    doubts: int = 0
    again_at: float = 0.0


class FlowBackoff:
    """Exponential backoff per flow, in seconds of monotonic time. As many records as flows that have failed."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    @property
    def waiting(self) -> int:
        """Flows that have failed and are tried again."""
        return sum(record.failures > 0 for record in self._records.values())

    def doubt(self, flow_id: str) -> None:
        """An attempt has failed, perhaps because of the server: others have their turn first."""
        self._record(flow_id).doubts += 1

    def doubts(self, flow_id: str) -> int:
        record = self._records.get(flow_id)
        return record.doubts if record is not None else 0

    def failed(self, flow_id: str, now: float) -> None:
        """An attempt has failed, and it is the flow's fault."""
        record = self._record(flow_id)
        record.again_at = now + min(_FIRST_PAUSE * 2**record.failures, _LONGEST_PAUSE)
        record.failures += 1

    def failures(self, flow_id: str) -> int:
        record = self._records.get(flow_id)
        return record.failures if record is not None else 0

    def is_waiting(self, flow_id: str, now: float) -> bool:
        record = self._records.get(flow_id)
        return record is not None and now < record.again_at

    def done(self, flow_id: str) -> None:
        self._records.pop(flow_id, None)

    def keep_only(self, flow_ids: Container[str]) -> None:
        """Forget flows that are not in the index any more."""
        for flow_id in [flow_id for flow_id in self._records if flow_id not in flow_ids]:
            del self._records[flow_id]

    def _record(self, flow_id: str) -> _Record:
        return self._records.setdefault(flow_id, _Record())
