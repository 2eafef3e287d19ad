"""One process of ours: recorded, stopped with everything it started, and never mistaken for another."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanflow.cli import launcher
from spanflow.cli.account import my_account
from spanflow.cli.child import Child, ChildError, end_recorded, owner_of
from tests.support.poll import eventually

#: Starts another process, then ignores the polite signal. Both write down who they are.
STUBBORN = """\
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(inner.pid, flush=True)
signal.pause()
"""


def child_of(directory: Path, *command: str) -> Child:
    return Child("part", [sys.executable, *command], directory=directory, account=my_account())


def run_to_its_end(child: Child) -> None:
    child.start()
    eventually(lambda: child.exit_code() is not None, within=30)
    child.stop()


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Child]:
    child = child_of(tmp_path, "-c", STUBBORN)
    child.start()
    yield child
    child.stop(0)


def test_one_that_does_not_listen_is_forced_and_what_it_started_goes_too(stubborn: Child) -> None:
    inner = int(eventually(stubborn.log.read_text))
    assert stubborn.stop(0.2) is False
    eventually(lambda: launcher.identity(inner) is None)


def test_who_is_in_a_hurry_does_not_wait(stubborn: Child) -> None:
    eventually(stubborn.log.read_text)
    assert stubborn.stop(60, hurried=lambda: True) is False


def test_one_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    child = child_of(tmp_path, "-c", "print('there is no such database'); raise SystemExit(3)")
    child.start()
    with pytest.raises(ChildError) as shown:
        child.wait_until(lambda: False, within=30)
    child.stop()
    assert str(shown.value) == (
        f"part ended while starting (exit code 3).\n  there is no such database\n  ({tmp_path}/logs/part.log)"
    )


def test_a_program_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    child = Child("part", [str(tmp_path / "nothing")], directory=tmp_path, account=my_account())
    child.start()
    with pytest.raises(ChildError, match="cannot start .*/nothing: No such file"):
        child.wait_until(lambda: False, within=30)
    child.stop()


def test_it_is_started_by_the_main_thread_only(tmp_path: Path) -> None:
    """A thread that ends would take it along: that is what the kernel calls a parent."""
    problems: list[str] = []

    def start() -> None:
        try:
            child_of(tmp_path, "-c", "").start()
        except RuntimeError as why:
            problems.append(str(why))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert problems == ["start part from the main thread: it ends with the thread that started it"]


@pytest.mark.parametrize(
    "changed",
    [{"identity": "another boot:12345"}, {"owner": "1:2"}, {"identity": None}, {"pid": "not a number"}],
    ids=["another process has the number now", "of a copied folder", "never known", "broken"],
)
def test_a_process_that_is_not_provably_ours_is_left_alone(tmp_path: Path, changed: dict[str, object]) -> None:
    record = tmp_path / "part.json"
    mine = {"pid": os.getpid(), "identity": launcher.identity(os.getpid()), "owner": owner_of(tmp_path)}
    record.write_text(json.dumps({**mine, **changed}))
    assert end_recorded(record, tmp_path, (signal.SIGKILL,)) is False
    assert not record.exists()


def test_an_identity_stays_and_ends_with_its_process(tmp_path: Path) -> None:
    child = child_of(tmp_path, "-c", "import signal; signal.pause()")
    child.start()
    assert child.pid is not None
    pid, known = child.pid, launcher.identity(child.pid)
    assert known == launcher.identity(pid) is not None
    child.stop()
    assert launcher.identity(pid) != known


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        run_to_its_end(child_of(tmp_path, "-c", f"print('{word}')"))
    assert (tmp_path / "logs" / "part.log").read_text() == "second\n"
    assert (tmp_path / "logs" / "part.previous.log").read_text() == "first\n"
