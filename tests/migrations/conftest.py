"""The room's tests run on the PostgreSQL that Spanflow brings and on the machine's own, which is an older one."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.postgres_server import PostgresServer

_numbers = count(1)


class MachinePostgres(PostgresServer):
    """The `postgres` on PATH."""

    def _programs(self) -> Path:
        program = shutil.which("postgres")
        assert program is not None
        return Path(program).resolve().parent


@pytest.fixture(scope="session")
def machine_postgres(server_directory: Path) -> Iterator[PostgresServer | None]:
    if shutil.which("postgres") is None:
        yield None
        return
    directory = server_directory / "machine-postgres"
    directory.mkdir()
    server = MachinePostgres(directory).start()
    yield server
    server.stop()


@pytest.fixture(params=["embedded", "machine"])
def any_postgres_dsn(
    request: pytest.FixtureRequest, shared_postgres: PostgresServer, machine_postgres: PostgresServer | None
) -> Iterator[str]:
    """An empty database, once on each server."""
    server = shared_postgres if request.param == "embedded" else machine_postgres
    if server is None:
        pytest.skip("no postgres on PATH: only the embedded one is tested")
    name = f"room_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.dsn(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")
