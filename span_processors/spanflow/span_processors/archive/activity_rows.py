"""Activities on their way into `user_activities`: once each, and numbered within their conversation."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive_sql import ArchiveSql, moment
from spanflow.span_processors.archive.conversation_numbers import (
    MAX_NUMBER,
    Numbered,
    Tail,
    continued,
    renumbered,
)
from spanflow.span_processors.archive.postgres import UntracedConnection
from spanflow.span_processors.event.json_safe import safe_text
from spanflow.span_processors.ids import id_or_none


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An activity with what its flow knows about whose it is."""

    activity: Activity
    flow_id: str
    conversation_id: str | None
    session_id: str | None
    user_id: str | None
    source: str | None

    @property
    def line(self) -> str:
        """What it is numbered within: the conversation, or the flow when there is none."""
        return f"c{self.conversation_id}" if self.conversation_id is not None else f"f{self.flow_id}"

    def in_line(self) -> Numbered:
        own = self.activity.sequence_num
        kept = own if isinstance(own, int) and 0 <= own <= MAX_NUMBER else None
        return Numbered(self.activity.activity_id, moment(self.activity.time_ns), kept, kept is not None)


async def write_activities(connection: UntracedConnection, sql: ArchiveSql, rows: Sequence[ActivityRow]) -> None:
    """Add those that are not there yet, inside the caller's transaction.

    The lock per conversation is held to the end of that transaction, so the next writer sees these numbers.
    """
    await connection.fetch(sql.lock_conversations, sorted({row.line for row in rows}))
    known = {
        record["activity_id"]
        for record in await connection.fetch(sql.known_activities, [row.activity.activity_id for row in rows])
    }
    new = list({row.activity.activity_id: row for row in rows if row.activity.activity_id not in known}.values())
    if not new:
        return
    numbers = await _numbers(connection, sql, new)
    await connection.execute(sql.add_activities, *map(list, zip(*(_values(row, numbers) for row in new), strict=True)))


async def _numbers(connection: UntracedConnection, sql: ArchiveSql, new: Sequence[ActivityRow]) -> dict[str, int]:
    by_line: dict[str, list[Numbered]] = defaultdict(list)
    for row in new:
        by_line[row.line].append(row.in_line())
    tails = {
        record["line"]: Tail(record["time"], record["number"])
        for record in await connection.fetch(sql.tails, *_wanted(by_line))
    }
    numbers: dict[str, int] = {}
    late: dict[str, list[Numbered]] = {}
    for name, lines in by_line.items():
        numbered = continued(tails.get(name), lines)
        if numbered is None:
            late[name] = lines
        else:
            numbers.update(numbered)
    if late:
        numbers.update(await _make_room(connection, sql, late))
    return numbers


async def _make_room(
    connection: UntracedConnection, sql: ArchiveSql, late: dict[str, list[Numbered]]
) -> dict[str, int]:
    """Something older than what is stored has come, out of a spool or from a slower process: shift our own numbers."""
    stored: dict[str, list[Numbered]] = defaultdict(list)
    for record in await connection.fetch(sql.lines, *_wanted(late)):
        stored[record["line"]].append(
            Numbered(record["activity_id"], record["created_at"], record["sequence_num"], record["own_number"])
        )
    numbers: dict[str, int] = {}
    for name, lines in late.items():
        numbers.update(renumbered(stored[name], lines))
    there = {line.activity_id for lines in stored.values() for line in lines}
    moved = {activity_id: number for activity_id, number in numbers.items() if activity_id in there}
    if moved:
        await connection.execute(sql.renumber, list(moved), list(moved.values()))
    return numbers


def _wanted(lines: dict[str, list[Numbered]]) -> tuple[list[str], list[str]]:
    names = sorted(lines)
    return [name[1:] for name in names if name[0] == "c"], [name[1:] for name in names if name[0] == "f"]


def _values(row: ActivityRow, numbers: dict[str, int]) -> tuple[Any, ...]:
    activity = row.activity
    duration = activity.data.get("duration_ms")
    timed = isinstance(duration, int | float) and not isinstance(duration, bool)
    return (
        activity.activity_id,
        row.conversation_id,
        row.session_id,
        row.user_id,
        row.flow_id,
        id_or_none(activity.node_id),
        numbers[activity.activity_id],
        row.in_line().own,
        safe_text(activity.type)[:128],
        orjson.dumps(activity.data).decode(),
        float(duration) if timed and duration is not None else None,
        row.source,
        moment(activity.time_ns),
    )
