"""What the spool has taken is there afterwards: after kill -9, on a full disk, across processes; and it is bounded."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanflow.span_processors.spool.spool import ASIDE, Disk, Spool
from spanflow.span_processors.spool.spool_folder import SpoolFolder
from spanflow.span_processors.spool.spool_segment import Record, read_segment
from tests.support.poll import eventually


def spool_in(path: Path, instance: str = "here", **limits: int) -> Spool:
    return Spool(path, lambda: instance, **{"reserve_bytes": 0, **limits})  # type: ignore[arg-type]


def drain(spool: Spool) -> list[bytes]:
    """Replay everything into a list."""
    found = []
    while (segment := spool.next_segment()) is not None:
        found += [item.payload for item in read_segment(segment) if isinstance(item, Record)]
        spool.replayed(segment)
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = spool_in(tmp_path)
    yield made
    made.close()


def test_nothing_is_opened_before_the_first_append(tmp_path: Path) -> None:
    made = spool_in(tmp_path / "not-yet")
    assert made.next_segment() is None
    assert made.take_over() == 0
    made.close()
    assert not (tmp_path / "not-yet").exists()


def test_what_was_appended_comes_back_in_order_over_several_segments(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=100)
    batches = [[b"%d" % number * 30, b"small"] for number in range(8)]
    for batch in batches:
        spool.append(batch)
    assert len(list(spool.root.glob("*/*.seg"))) == 4
    assert drain(spool) == [payload for batch in batches for payload in batch]
    assert spool.size == 0
    spool.close()
    assert list(spool.root.iterdir()) == []


def test_appending_goes_on_while_it_is_replayed(spool: Spool) -> None:
    spool.append([b"first"])
    segment = spool.next_segment()
    assert segment is not None
    spool.append([b"second"])
    spool.replayed(segment)
    assert drain(spool) == [b"second"]


def test_the_bound_holds_to_the_byte_and_room_comes_back(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, max_bytes=(12 + 100) * 2)
    assert spool.append([b"a" * 100]) == 1
    assert spool.append([b"b" * 100, b"", b""]) == 1
    assert spool.append([b""]) == 0
    assert spool.problem() == "224 of 224 bytes are waiting already"
    assert drain(spool) == [b"a" * 100, b"b" * 100]
    spool.append([b"c"])
    assert drain(spool) == [b"c"]
    spool.close()


def test_a_reserve_of_the_disk_is_left_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: "here", reserve_bytes=1000, disk=lambda _: Disk(1050, 50_000))
    assert spool.append([b"a" * 30]) == 1
    assert spool.append([b"a" * 100]) == 0
    assert drain(spool) == [b"a" * 30]
    spool.close()


def test_on_a_small_disk_the_reserve_is_a_part_of_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: "here", reserve_bytes=1000, disk=lambda _: Disk(100, 500))
    assert spool.append([b"a" * 38]) == 1, "50 of 500 bytes are left to others"
    assert spool.append([b"a" * 39]) == 0
    spool.close()
    nearly_full = Spool(tmp_path, lambda: "here", reserve_bytes=1000, disk=lambda _: Disk(50, 500))
    assert nearly_full.problem() == "50 bytes are free on the disk, of which 50 are left to others"


def test_a_read_only_disk_is_told_of_before_anything_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "none", lambda: "here", disk=lambda _: Disk(1 << 40, 1 << 40, read_only=True))
    assert spool.problem() == f"{tmp_path} is on a read-only file system"
    assert spool_in(tmp_path / "none").problem() == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_is_not_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be removed afterwards, with whatever comes meanwhile."""
    spool = spool_in(tmp_path)
    spool.append([b"a"])
    assert drain(spool) == [b"a"]
    listed = SpoolFolder.segments
    others: list[threading.Thread] = []

    def segments_while_another_appends(folder: SpoolFolder) -> list[Path]:
        others.append(threading.Thread(target=lambda: spool.append([b"b"])))
        others[-1].start()
        others[-1].join(0.1)  # unless it has to wait for us
        return listed(folder)

    monkeypatch.setattr(SpoolFolder, "segments", segments_while_another_appends)
    segment = spool.next_segment()
    monkeypatch.undo()
    for other in others:
        other.join()
    spool.append([b"c"])
    if segment is not None:
        spool.replayed(segment)
    assert drain(spool) == [b"b", b"c"]
    spool.close()


def test_several_threads_may_append_while_one_replays(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=500)
    payloads = [[b"%d-%d" % (thread, number) for number in range(200)] for thread in range(3)]
    threads = [
        threading.Thread(target=lambda mine=mine: [spool.append([payload]) for payload in mine]) for mine in payloads
    ]
    for thread in threads:
        thread.start()
    found: list[bytes] = []
    while any(thread.is_alive() for thread in threads):
        found += drain(spool)
    found += drain(spool)
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(payload for mine in payloads for payload in mine)
    assert (spool.size, spool.appended) == (0, 600)
    spool.close()


def test_the_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    living, other = spool_in(tmp_path, "living"), spool_in(tmp_path, "other")
    living.append([b"mine"])
    assert other.take_over() == 0
    assert drain(other) == []
    living.close()
    assert other.take_over() == 1
    assert other.size == 12 + 4
    assert drain(other) == [b"mine"]
    other.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_two_processes_with_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    one, two = spool_in(tmp_path, "same/name"), spool_in(tmp_path, "same/name")
    one.append([b"1"])
    two.append([b"2"])
    assert (drain(one), drain(two)) == ([b"1"], [b"2"])
    one.close()
    two.close()


WRITER = """
import sys
from pathlib import Path
from spanflow.span_processors.spool.spool import Spool
spool = Spool(Path(sys.argv[1]), lambda: "writer", segment_bytes=200_000, reserve_bytes=0)
number = 0
while True:
    spool.append([b"%08d" % number + b"x" * (number % 5000) for number in range(number, number + 20)])
    number += 20
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_after_kill_9_during_a_write_everything_acknowledged_is_there(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 200:
                break
        writer.kill()
        rest = writer.stdout.read().split("\n")
    acknowledged = max([200, *(int(word) for word in rest[:-1])])
    heir = spool_in(tmp_path, "heir")
    assert heir.take_over() == 1
    numbers = [int(payload[:8]) for payload in drain(heir)]
    assert numbers[:acknowledged] == list(range(acknowledged))
    assert numbers == list(range(len(numbers)))
    heir.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from spanflow.span_processors.spool.spool import Spool
from spanflow.span_processors.spool.spool_segment import read_segment
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
spool = Spool(Path(sys.argv[1]), lambda: "writer", reserve_bytes=0)
said = []
for size in (1000, 3000, 3000, 9000, 500):
    try:
        spool.append([b"x" * size])
        said.append("taken")
    except OSError as why:
        said.append(type(why).__name__)
found = []
while (segment := spool.next_segment()) is not None:
    found += [len(record.payload) for record in read_segment(segment)]
    spool.replayed(segment)
spool.close()
sys.stdout.write(f"{said} {found} {spool.size}")
"""


def test_on_a_full_disk_a_batch_is_refused_whole_and_the_rest_stays_readable(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "['taken', 'taken', 'OSError', 'OSError', 'taken'] [1000, 3000, 500] 0"


def test_a_disk_that_refuses_everything_is_an_os_error_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file stands where the folder should be")
    spool = spool_in(tmp_path)
    with pytest.raises(OSError):
        spool.append([b"x"])
    assert spool.size == 0
    spool.close()


def test_a_forked_child_begins_with_a_folder_of_its_own_and_the_parent_keeps_its_lock(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.append([b"parent's"])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            spool.after_fork()
            spool.append([b"child's"])
            code = 0 if drain(spool) == [b"child's"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    other = spool_in(tmp_path, "other")
    assert eventually(lambda: other.take_over() == 1), "the child's folder is free, the parent's is not"
    assert drain(other) == []
    assert drain(spool) == [b"parent's"]
    spool.close()
    other.close()


def test_the_lock_is_free_again_as_soon_as_its_owner_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGSTOP)
        first, second = spool_in(tmp_path, "first"), spool_in(tmp_path, "second")
        assert first.take_over() == 0, "a process that stands still is not gone"
        writer.kill()
        writer.wait()
    assert (first.take_over(), second.take_over()) == (1, 0)
    first.close()
    assert second.take_over() == 1
    drain(second)
    second.close()


def test_what_nobody_can_use_is_set_aside_within_a_bound(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, aside_bytes=10)
    assert spool.set_aside("one", b"12345678")
    assert not spool.set_aside("two", b"12345678")
    assert [path.name for path in (tmp_path / ASIDE).iterdir()] == ["one"]
