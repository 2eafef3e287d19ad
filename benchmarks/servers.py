"""The servers a benchmark writes to: a real Redis, a real PostgreSQL and a sink for OTLP, on loopback."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.variants import Servers
from spanflow.migrations.run import upgrade
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer


@contextmanager
def running_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="spanflow-bench-"))
        directory.chmod(0o755)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        redis = RedisServer(_folder(directory, "redis")).start()
        stack.callback(redis.kill)
        # The tests do without fsync; a database that is measured does not.
        postgres = PostgresServer(_folder(directory, "postgres"), "-c", "fsync=on").start()
        stack.callback(postgres.kill)
        dsn = postgres.dsn()
        upgrade(dsn, "omni2")
        postgres.execute("CREATE DATABASE history")
        upgrade(postgres.dsn("history"), "omni2")
        port = free_port()
        sink = subprocess.Popen([sys.executable, "-m", "benchmarks.otlp_sink", str(port)])
        stack.callback(_end, sink)
        eventually(lambda: accepts(port), within=15)
        otlp = f"http://127.0.0.1:{port}/v1/traces"
        yield Servers(redis.url, dsn, otlp, str(_folder(directory, "data")), postgres.dsn("history"))


def _folder(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    path.chmod(0o755)
    return path


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(timeout=10)
