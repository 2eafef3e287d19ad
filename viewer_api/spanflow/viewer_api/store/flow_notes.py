"""What operators say of flows: notes, each with a text, a verdict, or both. A flow's verdict is that of the newest note
that has one."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from spanflow.viewer_api.store.database import Connection, Database, Row

VERDICTS: Final = ("good", "bad", "needs_look")
#: Of one flow.
MAX_NOTES: Final = 200
_COLUMNS: Final = "note_id, flow_id, user_id, verdict, note, created_at, created_by, changed_at, owner"
_OF_FLOW: Final = f"""
SELECT {_COLUMNS} FROM {{s}}.flow_notes WHERE flow_id = $1 ORDER BY created_at DESC, note_id DESC LIMIT {MAX_NOTES}
"""
_ADD: Final = f"""
INSERT INTO {{s}}.flow_notes (note_id, flow_id, user_id, verdict, note, created_at, owner, created_by, owner_user_id)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE (SELECT count(*) FROM {{s}}.flow_notes WHERE flow_id = $2) < {MAX_NOTES}
RETURNING {_COLUMNS}
"""
_CHANGE: Final = f"""
UPDATE {{s}}.flow_notes SET verdict = $4, note = $5, changed_at = $6
WHERE flow_id = $1 AND note_id = $2 AND owner = $3
RETURNING {_COLUMNS}
"""
_DELETE: Final = f"""
DELETE FROM {{s}}.flow_notes WHERE flow_id = $1 AND note_id = $2 AND ($3::text IS NULL OR owner = $3)
RETURNING {_COLUMNS}
"""
_VERDICTS: Final = """
SELECT DISTINCT ON (flow_id) flow_id, verdict FROM {s}.flow_notes
WHERE flow_id = ANY ($1::text[]) AND verdict IS NOT NULL ORDER BY flow_id, created_at DESC, note_id DESC
"""


@dataclass(frozen=True, slots=True)
class NewNote:
    flow_id: str
    user_id: str | None
    verdict: str | None
    text: str | None
    owner: str
    created_by: str
    owner_user_id: str | None


class FlowNotes:
    """`database` is the one that is written to: who has added a note sees it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def of_flow(self, flow_id: str) -> Sequence[Row]:
        """The newest first."""
        async with self.database.transaction() as connection:
            rows: Sequence[Row] = await connection.fetch(self.database.sql(_OF_FLOW), flow_id)
        return rows

    async def add(self, connection: Connection, note: NewNote, now: datetime) -> Row | None:
        """None when the flow has too many, or was erased."""
        row: Row | None = await connection.fetchrow(
            self.database.sql(_ADD),
            secrets.token_hex(8),
            note.flow_id,
            note.user_id,
            note.verdict,
            note.text,
            now,
            note.owner,
            note.created_by,
            note.owner_user_id,
        )
        return row

    async def change(
        self,
        connection: Connection,
        flow_id: str,
        note_id: str,
        owner: str,
        verdict: str | None,
        text: str | None,
        now: datetime,
    ) -> Row | None:
        statement = self.database.sql(_CHANGE)
        row: Row | None = await connection.fetchrow(statement, flow_id, note_id, owner, verdict, text, now)
        return row

    async def delete(self, connection: Connection, flow_id: str, note_id: str, owner: str | None) -> Row | None:
        row: Row | None = await connection.fetchrow(self.database.sql(_DELETE), flow_id, note_id, owner)
        return row


class Verdicts:
    """What lists show of notes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, flow_ids: Collection[str]) -> dict[str, str]:
        """The verdicts of those of these flows that have one."""
        if not flow_ids:
            return {}
        return {row["flow_id"]: row["verdict"] for row in await self._database.fetch(_VERDICTS, list(flow_ids))}
