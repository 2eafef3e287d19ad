"""The order of the activities of a conversation."""

from collections.abc import Sequence

from spanflow.viewer_api.store.database import Row


def in_order(rows: Sequence[Row]) -> Sequence[Row]:
    """By number, as they come from the store. Numbers that repeat are no order: then by time.

    A gateway that numbers its activities itself asks for the highest number so far and may not see the last turn yet.
    """
    if len({row["sequence_num"] for row in rows}) == len(rows):
        return rows
    return sorted(rows, key=lambda row: (row["created_at"], row["sequence_num"], row["activity_id"]))
