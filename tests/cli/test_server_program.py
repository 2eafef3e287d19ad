"""Which server programs are used, and how root's servers get at programs in a private home."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spanflow.cli.account import Account, server_account
from spanflow.cli.server_program import ProgramError, ServerProgram, find_postgres, find_redis


def script(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_packages_programs_are_found(tmp_path: Path) -> None:
    assert find_postgres(tmp_path).version >= (18,)
    assert find_redis().version >= (6, 2)


def test_a_newer_program_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = script(tmp_path / "valkey-server", "Valkey server v=99.1.0 sha=00000000:0 malloc=jemalloc bits=64")
    script(tmp_path / "redis-server", "Redis server v=5.0.1 sha=00000000:0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_redis() == ServerProgram(newer.resolve(), (99, 1, 0))


def test_existing_data_decides_which_postgres_serves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, data = tmp_path / "bin", tmp_path / "data"
    programs.mkdir()
    data.mkdir()
    newest = script(programs / "postgres", "postgres (PostgreSQL) 99.1")
    script(programs / "initdb", "")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert find_postgres(data) == ServerProgram(newest.resolve(), (99, 1))
    (data / "PG_VERSION").write_text("18\n")
    assert find_postgres(data).version[0] == 18
    (data / "PG_VERSION").write_text("98\n")
    with pytest.raises(
        ProgramError, match="written by PostgreSQL 98, but only .*Install PostgreSQL 98, or set SPANFLOW"
    ):
        find_postgres(data)


def test_a_program_that_does_not_start_here_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_redis().path != broken.resolve()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_programs_in_a_private_home_are_copied_and_the_home_stays_private(
    tmp_path: Path, new_server_directory: Callable[[], Path]
) -> None:
    """A virtual environment below /root is the usual case."""
    account = server_account()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    found = find_postgres(tmp_path)
    assert found.package is not None
    package = home / found.package.name
    install = found.path.relative_to(found.package).parts[0]
    shutil.copytree(found.package / install, package / install, symlinks=True)
    shutil.copytree(f"{found.package}.libs", f"{package}.libs")
    private = ServerProgram(package / found.path.relative_to(found.package), found.version, package)
    programs = new_server_directory() / "programs"
    path = private.reachable_by(account, programs=programs)
    assert path.is_relative_to(programs)
    assert (private.reachable_by(account, programs=programs), path.with_name("psql").exists()) == (path, False)
    for program in ("postgres", "initdb"):
        subprocess.run(
            [path.with_name(program), "--version"], user=account.uid, group=account.gid, extra_groups=[], check=True
        )
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_only_its_owner_may_enter_is_out_of_reach_for_others(tmp_path: Path) -> None:
    stranger = Account(uid=54_321, gid=54_321, name="stranger")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert not stranger.can_reach(private / "file")
    mine = Account(os.geteuid(), os.getegid(), "me")
    assert mine.can_reach(private / "file")
