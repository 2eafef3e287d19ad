"""Folders are private under every umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanflow.cli.data_directory import DataDirectory
from spanflow.span_processors.spool.spool_folder import SpoolFolder


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def writable_by_others(below: Path) -> list[Path]:
    return [path for path in [below, *below.rglob("*")] if path.stat().st_mode & 0o022]


def test_nobody_else_may_write_where_flows_wait(umask: None, tmp_path: Path) -> None:
    folder = SpoolFolder.create(tmp_path / "a" / "b" / "spool", "process")
    folder.abandon()
    assert writable_by_others(tmp_path / "a") == []
    assert (tmp_path / "a" / "b" / "spool").stat().st_mode & 0o077 == 0


def test_nobody_else_may_write_into_the_data_directory(umask: None, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "x" / "y" / "spanflow")
    with directory.owned("test"):
        assert writable_by_others(tmp_path / "x") == []
