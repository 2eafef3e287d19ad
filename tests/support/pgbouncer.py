"""A pgbouncer in transaction mode before a PostgreSQL: each transaction may run on another server connection."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import child
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

needs_pgbouncer = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="no pgbouncer on this machine: apt install pgbouncer"
)

_CONFIG = """
[databases]
{database} = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
server_reset_query_always = 0
"""


@contextmanager
def pgbouncer(dsn: str, folder: Path) -> Iterator[str]:
    """The address of one before the database of `dsn`. `folder` must be one that servers can reach."""
    child.give_to_server(folder)
    server, listen = urlsplit(dsn), free_port()
    database = server.path.strip("/")
    config = folder / "pgbouncer.ini"
    config.write_text(
        _CONFIG.format(database=database, host=server.hostname, port=server.port, user=server.username, listen=listen)
    )
    config.chmod(0o644)
    process = child.start([shutil.which("pgbouncer") or "", config], folder / "log", cwd=folder)
    try:
        eventually(lambda: accepts(listen), within=10)
        yield f"postgresql://{server.username}@127.0.0.1:{listen}/{database}"
    finally:
        process.kill()
        process.wait()
