"""While Postgres writes one batch of flows the next is made ready; nothing that holds for a batch is weaker for it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from spanflow.span_processors.archive.archive import FIRST_BATCH, ArchiveSink, build_archive
from spanflow.span_processors.archive.archive_writer import ArchiveWriter, Written
from spanflow.span_processors.archive.flow_draft import Drafting
from spanflow.span_processors.archive.postgres import UntracedConnection, connect
from spanflow.span_processors.archive.postgres_line import PostgresLine
from spanflow.span_processors.clock import SystemClock
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.spool.spool import Spool
from spanflow.span_processors.stages.sink import Receipt
from tests.support.archives import Archives, archives_in, deliver
from tests.support.flow_parts import part, span
from tests.support.query import query, script, value


@pytest.fixture
def archives(postgres_dsn: str, tmp_path: Path) -> Iterator[Archives]:
    with archives_in(postgres_dsn, tmp_path) as made:
        yield made


def flows(number: int, *bad: int) -> list[FlowPart]:
    return [part(flow, [span(1, name="bad" if flow in bad else "good"), span(2, 1)]) for flow in range(number)]


def stored(archives: Archives) -> int:
    found: int = value(archives.dsn, "SELECT count(*) FROM omni2.interaction_flows")
    return found


def refused(archives: Archives, sqlstate: str) -> None:
    """From here on the server says so to every flow that is named «bad»."""
    script(
        archives.dsn,
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.name = 'bad' THEN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON omni2.interaction_flows FOR EACH ROW EXECUTE FUNCTION refuse();
        """,
    )


class Watched(ArchiveWriter):
    """Notes after each batch how many flows of every batch are ready."""

    def __init__(self, schema: str) -> None:
        super().__init__(schema)
        self.begun: list[Drafting] = []
        self.ready: list[list[int]] = []

    def drafting(self, parts: Sequence[FlowPart]) -> Drafting:
        made = super().drafting(parts)
        self.begun.append(made)
        return made

    async def write(
        self,
        connection: UntracedConnection,
        drafting: Drafting,
        following: Drafting | None = None,
        *,
        suspicious: bool = False,
    ) -> Written:
        written = await super().write(connection, drafting, following, suspicious=suspicious)
        self.ready.append([len(batch.made) for batch in self.begun])
        return written


def test_the_next_batch_is_made_ready_while_postgres_writes(archives: Archives, tmp_path: Path) -> None:
    settings = archives.settings()
    writer = Watched(settings.schema)
    line = PostgresLine(lambda: connect(settings, "test"))
    spool = Spool(tmp_path / "spool", lambda: "p1", max_bytes=0, reserve_bytes=0)
    archive = ArchiveSink(line, writer, spool)
    try:
        assert deliver(archive, *flows(400)) == Receipt(400)
    finally:
        archive.close(0)
    assert [ready[at] for at, ready in enumerate(writer.ready)] == [50, 100, 200, 50]
    assert all(ready[at + 1] > 0 for at, ready in enumerate(writer.ready[:-1]))
    assert stored(archives) == 400


def test_a_server_that_fails_in_the_second_batch_has_the_first_and_is_offered_the_rest_again(
    archives: Archives,
) -> None:
    refused(archives, "53100")
    parts = flows(400, FIRST_BATCH + 7)
    archive = archives.make()
    receipt = deliver(archive, *parts)
    assert receipt == Receipt(FIRST_BATCH, {}, parts[FIRST_BATCH:], away=receipt.away)
    assert receipt.away.startswith("DiskFull")
    assert stored(archives) == FIRST_BATCH
    assert sorted(archives.safe) == [flow.flow_id for flow in parts[:FIRST_BATCH]]
    script(archives.dsn, "DROP TRIGGER refuse ON omni2.interaction_flows")
    assert deliver(archive, *parts[FIRST_BATCH:]) == Receipt(400 - FIRST_BATCH)
    assert stored(archives) == 400


def test_what_is_poison_in_one_batch_is_isolated_there(archives: Archives) -> None:
    refused(archives, "22P05")
    bad = (3, FIRST_BATCH - 1, FIRST_BATCH, 399)
    parts = [*flows(400, *bad), FlowPart("a/b", "p1", ())]
    assert deliver(archives.make(), *parts) == Receipt(396, {"poison": 5})
    assert stored(archives) == 396
    kept = query(archives.dsn, "SELECT flow_id FROM omni2.poison_records ORDER BY flow_id")
    assert [row["flow_id"] for row in kept] == [*(f"{flow:032x}" for flow in bad), "a/b"]


class Hurried(SystemClock):
    """Three seconds pass between any two looks at it."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 3.0
        return self._now


def test_what_cannot_be_begun_in_half_of_the_time_is_offered_again(archives: Archives) -> None:
    parts = flows(250)
    archive = build_archive(archives.settings(), lambda: "p1", clock=Hurried())
    try:
        assert archive.deliver(parts, 20.0) == Receipt(150, {}, parts[150:])
        assert archive.deliver(parts[150:], 40.0) == Receipt(100)
    finally:
        archive.close(0)
    assert stored(archives) == 250
