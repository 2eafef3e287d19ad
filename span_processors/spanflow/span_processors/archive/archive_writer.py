"""Writes flow parts into Postgres: idempotent, in any order, from any number of processes, one row per flow.

Every writer takes locks in one order (flow keys by flow id, rows of flows, conversations, users), so writers wait
for each other and never for ever.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import orjson

from spanflow.span_processors.archive.activity_rows import ActivityRow, write_activities
from spanflow.span_processors.archive.application_mirror import ApplicationMirror, mirrored
from spanflow.span_processors.archive.archive_sql import COLUMN_NAMES, ArchiveSql, moment
from spanflow.span_processors.archive.flow_draft import Drafter, Drafting, FlowDraft
from spanflow.span_processors.archive.flow_limits import FlowLimits
from spanflow.span_processors.archive.flow_row import FlowRow
from spanflow.span_processors.archive.overlapped import overlapped
from spanflow.span_processors.archive.poison import ACTIVITY, USER, Poison
from spanflow.span_processors.archive.postgres import UntracedConnection, begin
from spanflow.span_processors.archive.postgres_line import described
from spanflow.span_processors.archive.user_memory import Seen, UserMemory, seen_in
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.ids import id_or_none
from spanflow.span_processors.names import TABLE_FLOWS
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_data import FlowData
from spanflow.span_processors.tree.flow_times import started_at
from spanflow.span_processors.tree.prices import NO_PRICES, PriceTable

#: What Postgres says when a value is at fault (data exception, a program limit): asking again would not help.
_ABOUT_DATA: Final = ("22", "54")
#: What is never a record's fault, however often it is said: connection, read-only standby, rights, missing database,
#: schema or tables, deadlocks, no resources, locks, shutdown, system errors.
ABOUT_SERVER: Final = ("08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57P", "58", "F0", "HV")


#: A flow whose key is older than its start by so much is moved; never to an older week, from which it would go earlier.
_FAR_OFF: Final = timedelta(days=1)


@dataclass(slots=True)
class Written:
    """What became of parts: `stored` is committed, `poison` must be kept aside, its flows with it."""

    stored: list[FlowPart] = field(default_factory=list)
    refused: list[FlowPart] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)


class ArchiveWriter:
    """Everything about the archive's transactions, and nothing about connections, queues or files."""

    def __init__(
        self,
        schema: str,
        *,
        limits: FlowLimits | None = None,
        users: UserMemory | None = None,
        prices: PriceTable = NO_PRICES,
        timeout: float = 10.0,
    ) -> None:
        self._sql = ArchiveSql(schema)
        self._mirror = ApplicationMirror(self._sql)
        self._drafter = Drafter(limits or FlowLimits(), prices)
        self._users = users or UserMemory()
        self._begin = begin(timeout)
        self._following: Drafting | None = None

    def drafting(self, parts: Sequence[FlowPart]) -> Drafting:
        """The first half of writing parts: all that can be done without the server."""
        return Drafting(self._drafter, parts)

    async def write(
        self,
        connection: UntracedConnection,
        drafting: Drafting,
        following: Drafting | None = None,
        *,
        suspicious: bool = False,
    ) -> Written:
        """The second half: store them. What is at fault itself is isolated and comes back as poison; when the server is
        at fault the error is raised, and writing everything again does no harm.

        While the server is busy with the rows, the drafts of those that are `following` are made. `suspicious`: this
        very batch has failed several times while the server was there, so any refusal counts as the record's own fault
        now.
        """
        drafting.finish()
        written = Written(refused=list(drafting.refused), poison=list(drafting.poison))
        self._following = following
        await self._store(connection, drafting.made, written, suspicious)
        return written

    async def keep_aside(self, connection: UntracedConnection, poison: Iterable[Poison]) -> None:
        """Put poison where a person finds it."""
        for record in poison:
            await connection.execute(self._sql.poison, *record.values(), record.payload)

    def forget(self) -> None:
        """In a forked child: what the parent has written is not remembered as this process's doing."""
        self._users.clear()

    async def _store(
        self, connection: UntracedConnection, batch: list[FlowDraft], written: Written, suspicious: bool
    ) -> None:
        if not batch:
            return
        try:
            await self._transaction(connection, batch)
        except Exception as why:
            if not _is_about_data(why, suspicious):
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._store(connection, batch[:middle], written, suspicious)
                await self._store(connection, batch[middle:], written, suspicious)
            else:
                await self._store_in_pieces(connection, batch[0], written, suspicious, why)
        else:
            written.stored += [part for draft in batch for part in draft.parts]

    async def _store_in_pieces(
        self, connection: UntracedConnection, draft: FlowDraft, written: Written, suspicious: bool, why: Exception
    ) -> None:
        """One flow that is refused: perhaps only one of its activities is at fault, or its user's name."""
        pieces = [replace(draft, activities=[])]
        pieces += [replace(draft, activities=[activity]) for activity in draft.activities]
        for piece in pieces:
            try:
                await self._transaction(connection, [piece], users=False)
            except Exception as fault:
                if not _is_about_data(fault, suspicious):
                    raise
                if not piece.activities:
                    written.poison += [Poison.of_part(part, described(fault), _state(fault)) for part in draft.parts]
                    written.refused += draft.parts
                    return
                written.poison.append(_poison(draft, ACTIVITY, piece.activities[0].to_bytes(), fault))
        if not any(record.kind == ACTIVITY and record.flow_id == draft.flow_id for record in written.poison):
            written.poison.append(_poison(draft, USER, repr(draft.identity).encode(errors="replace"), why))
        written.stored += draft.parts

    async def _transaction(
        self, connection: UntracedConnection, batch: Sequence[FlowDraft], *, users: bool = True
    ) -> None:
        seen_by_application = await self._mirror.is_connected(connection)
        await connection.execute(self._begin)
        try:
            changed: dict[str, FlowData] = {}
            flows = [draft for draft in batch if not draft.only_activities]
            owners = await self._write_flows(connection, flows, changed) if flows else {}
            if seen_by_application:
                await self._mirror.write(connection, self._mirrored(flows, changed, owners))
            owners.update({draft.flow_id: draft.owner for draft in batch if draft.only_activities})
            activities = [row for draft in batch for row in _activity_rows(draft, owners[draft.flow_id])]
            if activities:
                await write_activities(connection, self._sql, activities)
            due = self._users.due(_seen(batch, owners)) if users else []
            if due:
                await connection.execute(self._sql.users, *_columns(due))
            await connection.execute("COMMIT")
        except Exception:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
            raise
        self._users.written(due)

    def _mirrored(
        self, batch: Sequence[FlowDraft], changed: dict[str, FlowData], owners: dict[str, Identity]
    ) -> Iterable[bytes]:
        for draft in batch:
            document = changed.get(draft.flow_id) or self._drafter.document(draft)
            flow = mirrored(document, owners[draft.flow_id], draft.started_ns, draft.identity.source)
            if flow is not None:
                yield flow

    async def _write_flows(
        self, connection: UntracedConnection, batch: Sequence[FlowDraft], merged: dict[str, FlowData]
    ) -> dict[str, Identity]:
        """Insert or merge; returns whose the flows are, as they are stored now, and fills in what was merged."""
        claims = await connection.fetch(
            self._sql.claim, [draft.flow_id for draft in batch], [moment(draft.started_ns) for draft in batch]
        )
        keys = {claim["flow_id"]: claim["start_key"] for claim in claims}
        existing = [claim for claim in claims if not claim["fresh"]]
        stored = {}
        if existing:
            records = await connection.fetch(
                self._sql.stored, [claim["start_key"] for claim in existing], [claim["flow_id"] for claim in existing]
            )
            stored = {record["flow_id"]: record for record in records}
        owners: dict[str, Identity] = {}
        new: list[bytes] = []
        changed: list[tuple[str, FlowRow]] = []
        #: Flows that are kept where their times no longer lie, and when they began.
        corrected: list[tuple[str, datetime, datetime]] = []
        for draft in batch:
            record = stored.get(draft.flow_id)
            if record is None:
                new += (str(keys[draft.flow_id]).encode(), b"\t", draft.line)
                owners[draft.flow_id] = draft.owner
                continue
            before = orjson.loads(record["flow_data"])
            document, encoded = self._drafter.merged(before, draft)
            owners[draft.flow_id] = flow_data.identity_in_document(document)
            # A part that came twice changes nothing: the row is not written again.
            merged[draft.flow_id] = document
            if document != before:
                # The same source is shown whichever part arrived first.
                source = max(record["source"] or "", draft.identity.source or "") or None
                row = self._drafter.row(document, encoded, draft.started_ns, source)
                changed.append((record["flow_id"], row))
                started = moment(started_at(document["events"]) or draft.started_ns)
                if started - record["start_key"] > _FAR_OFF:
                    corrected.append((record["flow_id"], record["start_key"], started))
        if new:
            # As a buffer: a file would be read by a thread of a pool.
            rows = memoryview(b"".join(new))
            # Of all that a transaction waits for this takes by far the longest; what else it asks is answered at once.
            with overlapped(self._following.step) if self._following is not None else nullcontext():
                await connection.copy_to_table(
                    TABLE_FLOWS, schema_name=self._sql.schema, columns=COLUMN_NAMES, source=rows
                )
        if corrected:
            for record in await connection.fetch(self._sql.move, *map(list, zip(*corrected, strict=True))):
                keys[record["flow_id"]] = record["start_key"]
        if changed:
            values = [row.values(keys[flow_id]) for flow_id, row in changed]
            await connection.execute(self._sql.update, *map(list, zip(*values, strict=True)))
        return owners


def _activity_rows(draft: FlowDraft, whose: Identity) -> Iterable[ActivityRow]:
    for activity in draft.activities:
        yield ActivityRow(
            activity=activity,
            flow_id=draft.flow_id,
            conversation_id=id_or_none(activity.conversation_id) or whose.conversation_id,
            session_id=id_or_none(activity.session_id) or whose.session_id,
            user_id=id_or_none(activity.user_id) or whose.user_id,
            source=draft.identity.source,
        )


def _seen(batch: Sequence[FlowDraft], owners: dict[str, Identity]) -> Iterable[Seen]:
    for draft in batch:
        yield from seen_in(owners[draft.flow_id].user_id, draft.identity, draft.started_ns)


def _columns(seen: Sequence[Seen]) -> Iterable[list[object]]:
    return (
        [one.user_id for one in seen],
        [one.email for one in seen],
        [one.full_name for one in seen],
        [one.team for one in seen],
        [moment(one.time_ns) for one in seen],
    )


def _is_about_data(error: Exception, suspicious: bool) -> bool:
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError):
        return False
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith(_ABOUT_DATA) or (suspicious and not state.startswith(ABOUT_SERVER))
    return True  # our own code stumbled over what the record holds


def _state(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None)


def _poison(draft: FlowDraft, kind: str, payload: bytes, error: Exception) -> Poison:
    part = draft.parts[0]
    return Poison(
        kind, draft.flow_id, part.identity.user_id, part.instance_id, described(error), payload, _state(error)
    )
