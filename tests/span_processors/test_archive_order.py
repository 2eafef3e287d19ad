"""Parts of flows in any order, from several processes, twice, over spools and kills: one row with the same tree."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanflow.span_processors import flow_part
from spanflow.span_processors.archive.archive import ArchiveSink
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.tree import flow_data
from tests.support.archives import archives_in, deliver, replay
from tests.support.flow_parts import part, span
from tests.support.query import query

PROCESSES = ("edge", "gateway", "tools")
ENDED = {"phase": "end", "outcome": "ok"}


@st.composite
def shares(draw: st.DrawFn) -> list[tuple[str, list[Event], dict[str, Any]]]:
    """What each process hands over for one flow, in parts: spans while they are open, ended, or first one then the
    other."""
    found: list[tuple[str, list[Event], dict[str, Any]]] = []
    for number in range(1, draw(st.integers(1, 7)) + 1):
        parent = draw(st.integers(1, number - 1)) if number > 1 else None
        process = draw(st.sampled_from(PROCESSES))
        outcome = draw(st.sampled_from(["ok", "denied", "error"]))
        event_type = draw(st.sampled_from(["span", "tool_call", "auth_check"]))
        shared: dict[str, Any] = {"event_type": event_type, "attributes": {"user.id": "7", "flow.data.n": number}}
        versions = draw(st.sampled_from([("open",), ("ended",), ("open", "ended")]))
        for version in versions:
            ended = version == "ended"
            event = span(number, parent, ended=ended, **shared, **({"outcome": outcome} if ended else {}))
            reason = draw(st.sampled_from([flow_part.ROOT_ENDED, flow_part.IDLE, flow_part.SHUTDOWN, flow_part.REAPED]))
            found.append((process, [event], {"reason": reason, "redacted": draw(st.integers(0, 3))}))
    return found


def parts_of(flow: int, share: Sequence[tuple[str, list[Event], dict[str, Any]]]) -> list[FlowPart]:
    return [part(flow, events, process=process, **more) for process, events, more in share]


def row_of(dsn: str, flow: int) -> dict[str, Any]:
    """The row without what may differ between two flows and between two ways to the same row."""
    [row] = query(dsn, "SELECT * FROM omni2.interaction_flows WHERE flow_id = $1", f"{flow:032x}")
    return comparable(row)


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    row["flow_data"] = orjson.loads(row["flow_data"])
    row["tree"] = flow_data.read(row["flow_data"]).tree().rows()
    for name in ("flow_id", "revision", "updated_at", "flow_bytes"):
        del row[name]
    del row["flow_data"]["flow_id"]
    return row


def test_any_order_and_repetition_gives_the_same_row(postgres_dsn: str, tmp_path: Path) -> None:
    numbers = iter(range(1, 1_000_000))
    with archives_in(postgres_dsn, tmp_path) as archives:
        processes = [archives.make(name) for name in PROCESSES]

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(shares(), st.data())
        def check(share: list[tuple[str, list[Event], dict[str, Any]]], data: st.DataObject) -> None:
            at_once, in_pieces = next(numbers), next(numbers)
            deliver(processes[0], *parts_of(at_once, share))
            parts = parts_of(in_pieces, share)
            again = data.draw(st.lists(st.sampled_from(parts), max_size=4))
            _deliver_in_pieces(processes, data.draw(st.permutations([*parts, *again])), data)
            assert row_of(postgres_dsn, in_pieces) == row_of(postgres_dsn, at_once)

        check()


def _deliver_in_pieces(processes: list[ArchiveSink], parts: list[FlowPart], data: st.DataObject) -> None:
    while parts:
        size = data.draw(st.integers(1, len(parts)))
        batch, parts = parts[:size], parts[size:]
        archive = data.draw(st.sampled_from(processes))
        if data.draw(st.booleans()):
            archive.set_aside(batch)
        else:
            deliver(archive, *batch)
    for archive in processes:
        replay(archive)


WORKER = """
import random, sys, time
from pathlib import Path
from spanflow.span_processors.archive.archive import build_archive
from spanflow.span_processors.settings import Settings
from tests.support.flow_parts import part, span

dsn, data_dir, name, seed = sys.argv[1:]
choose = random.Random(seed)
settings = Settings(postgres_dsn=dsn, data_dir=data_dir, spool_reserve_bytes=0)
archive = build_archive(settings, lambda: f"{name}-{seed}")
done = set(map(int, sys.stdin.read().split()))
flows = [flow for flow in range(60) if flow not in done]
choose.shuffle(flows)
number = int(name)
for start in range(0, len(flows), 3):
    batch = flows[start : start + 3]
    parts = [part(flow, [span(number, number - 1 or None), span(number + 10, number)], process=name) for flow in batch]
    if choose.random() < 0.3:
        archive.set_aside(parts)
    else:
        archive.deliver(parts, time.monotonic() + 20)
    sys.stdout.write(" ".join(map(str, batch)) + "\\n")
    sys.stdout.flush()
while archive.idle(time.monotonic() + 20) == 0.0:
    pass
archive.close(time.monotonic() + 5)
"""


def test_with_kills_in_between_every_flow_is_one_row_with_every_span(postgres_dsn: str, tmp_path: Path) -> None:
    choose = random.Random(4)
    acknowledged: dict[str, set[int]] = {"1": set(), "2": set(), "3": set()}
    root = Path(__file__).parents[2]
    for attempt in range(4):
        running = {}
        for name, done in acknowledged.items():
            command = [sys.executable, "-c", WORKER, postgres_dsn, str(tmp_path), name, str(attempt)]
            running[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
            )
            stdin = running[name].stdin
            assert stdin is not None
            stdin.write(" ".join(map(str, done)))
            stdin.close()
        for name, process in running.items():
            assert process.stdout is not None
            lines = choose.randint(1, 6) if attempt < 3 else 1000
            for _, line in zip(range(lines), process.stdout, strict=False):
                acknowledged[name].update(map(int, line.split()))
            if attempt < 3:
                process.kill()
            for line in process.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    acknowledged[name].update(map(int, line.split()))
            process.stdout.close()
            process.wait()
    with archives_in(postgres_dsn, tmp_path) as archives:
        replay(archives.make("heir"))
        at_once = [
            part(60, [span(number, number - 1 or None), span(number + 10, number)], process=str(number))
            for number in (1, 2, 3)
        ]
        deliver(archives.make("undisturbed"), *at_once)
    rows = query(postgres_dsn, "SELECT * FROM omni2.interaction_flows ORDER BY flow_id")
    assert [row["flow_id"] for row in rows] == [f"{flow:032x}" for flow in range(61)]
    *pieced_together, undisturbed = map(comparable, rows)
    assert (undisturbed["span_count"], undisturbed["processes"]) == (6, ["1", "2", "3"])
    assert [row for row in pieced_together if row != undisturbed] == []


@pytest.mark.parametrize("spans", [10_000])
def test_a_flow_of_ten_thousand_spans_is_stored_and_merged_in_a_second_or_two(
    postgres_dsn: str, tmp_path: Path, spans: int
) -> None:
    with archives_in(postgres_dsn, tmp_path) as archives:
        archive = archives.make()
        begun = time.monotonic()
        deliver(archive, part(1, [span(1), *(span(number, 1) for number in range(2, spans))]))
        deliver(archive, part(1, [span(spans, 1)]))
        assert time.monotonic() - begun < 15
    assert query(postgres_dsn, "SELECT span_count FROM omni2.interaction_flows") == [{"span_count": spans}]
