"""A segment gives back every whole record, whatever happened to the bytes around it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.spool.spool_segment import MARKER, Damage, Record, SegmentWriter, read_segment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segments")


def written(folder: Path, batches: list[list[bytes]]) -> bytes:
    path = folder / "written"
    path.unlink(missing_ok=True)
    writer = SegmentWriter(path)
    for batch in batches:
        writer.append(batch)
    writer.close()
    assert writer.size == path.stat().st_size
    return path.read_bytes()


def read(folder: Path, raw: bytes) -> list[Record | Damage]:
    path = folder / "read"
    path.write_bytes(raw)
    return list(read_segment(path))


def payloads(found: list[Record | Damage]) -> list[bytes]:
    return [item.payload for item in found if isinstance(item, Record)]


#: Payloads that look like records themselves are among them.
PAYLOAD = st.binary(max_size=40) | st.binary(max_size=10).map(lambda rest: MARKER + rest)
BATCHES = st.lists(st.lists(PAYLOAD, min_size=1, max_size=4), max_size=4)


@given(BATCHES)
def test_what_was_appended_is_read_in_order(folder: Path, batches: list[list[bytes]]) -> None:
    assert payloads(read(folder, written(folder, batches))) == [payload for batch in batches for payload in batch]


@given(BATCHES, st.data())
def test_a_torn_tail_costs_the_last_record_only(folder: Path, batches: list[list[bytes]], data: st.DataObject) -> None:
    raw = written(folder, batches)
    cut = data.draw(st.integers(0, len(raw)))
    whole = [item for item in read(folder, raw) if isinstance(item, Record) and item.next_offset <= cut]
    found = read(folder, raw[:cut])
    assert payloads(found) == [item.payload for item in whole]
    torn = cut - (whole[-1].next_offset if whole else 0)
    assert [len(item.raw) for item in found if isinstance(item, Damage)] == ([torn] if torn else [])


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.data())
def test_damage_in_the_middle_costs_the_damaged_record_only(
    folder: Path, batch: list[bytes], data: st.DataObject
) -> None:
    raw = bytearray(written(folder, [batch]))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    ends = [item.next_offset for item in read(folder, written(folder, [batch])) if isinstance(item, Record)]
    hit = sum(1 for end in ends if end <= at)
    assert payloads(read(folder, bytes(raw))) == batch[:hit] + batch[hit + 1 :]


def test_a_segment_is_never_written_over(folder: Path) -> None:
    SegmentWriter(folder / "once").close()
    with pytest.raises(FileExistsError):
        SegmentWriter(folder / "once")
