"""A flow of which more comes while it is read: the answer is not older than the question."""

from typing import Any, cast

import pytest

from spanflow.viewer_api.flows.flow_reader import FlowReader

FLOW = f"{1:032x}"
COLUMNS = (
    "session_id",
    "user_id",
    "conversation_id",
    "source",
    "created_at",
    "started_at",
    "completed_at",
    "cut_spans",
    "outcome",
    "outcome_reason",
    "span_count",
)


class LatePart:
    """A complete flow of which a late part is stored between two looks, in the order that the archive keeps: the row
    first, then the index of open flows. It is the store and Redis to those who read."""

    def __init__(self) -> None:
        self.looks = 0

    async def one(self, flow_id: str, visible: Any) -> dict[str, Any]:
        self.looks += 1
        document = '{"events":["early"]}' if self.looks == 1 else '{"events":["early","late"]}'
        return {**dict.fromkeys(COLUMNS), "flow_id": flow_id, "complete": True, "flow_data": document}

    async def open_among(self, flow_ids: list[str]) -> set[str]:
        self.looks += 1
        return set(flow_ids) if self.looks == 1 else set()


class NothingWithheld:
    def of_past(self, user_id: str | None) -> bool:
        return False


@pytest.fixture
def reader() -> FlowReader:
    late: Any = LatePart()
    return FlowReader(late, late, None, cast(Any, NothingWithheld()))


@pytest.mark.anyio
async def test_a_flow_that_was_open_is_not_shown_as_it_was_stored_before(reader: FlowReader) -> None:
    assert await reader.settled(FLOW) is None
    settled = await reader.settled(FLOW)
    assert settled is not None and settled.text == '{"events":["early","late"]}'
