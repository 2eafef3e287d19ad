"""A viewer in a process of its own, for measurements of live clients: `python -m benchmarks.live_viewer <job>`."""

import gc
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from benchmarks.variants import Servers
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

TOKEN: Final = "a-token-for-benchmarks-0123456789"
BEARER: Final = {"Authorization": f"Bearer {TOKEN}"}
#: Of another person: what one asks for at once waits for its turn, and limits are per person.
OTHER_TOKEN: Final = "spanflow_another-token-for-benchmarks-0123456789"
OTHER_BEARER: Final = {"Authorization": f"Bearer {OTHER_TOKEN}"}


@dataclass(frozen=True)
class Viewer:
    #: Like `127.0.0.1:4711`.
    address: str
    pid: int


@contextmanager
def running_viewer(servers: Servers, *watched: str) -> Iterator[Viewer]:
    """A viewer that watches these users."""
    port = free_port()
    job = {"redis_url": servers.redis_url, "postgres_dsn": servers.postgres_dsn, "data_dir": servers.data_dir}
    viewer = subprocess.Popen([sys.executable, "-m", "benchmarks.live_viewer", orjson.dumps([job, port]).decode()])
    try:
        eventually(lambda: accepts(port), within=30)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=BEARER, timeout=15) as http:
            for user_id in watched:
                http.post(f"/api/v1/monitoring/enable/{user_id}", json={"reason": "benchmark"}).raise_for_status()
        yield Viewer(f"127.0.0.1:{port}", viewer.pid)
    finally:
        viewer.terminate()
        viewer.wait(timeout=15)


def main() -> None:
    from spanflow.viewer_api.app import create_app
    from spanflow.viewer_api.auth.permissions import Principal, Role, Via
    from spanflow.viewer_api.auth.token_file import Entry, digest, written
    from spanflow.viewer_api.operations.server import ViewerServer, configured
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    job, port = orjson.loads(sys.argv[1])
    many: dict[str, Any] = {"viewer_max_sockets": 2000, "viewer_sockets_per_person": 2000}
    # The counting watchers of `live_fanout` answer no heartbeats.
    many["viewer_heartbeat_seconds"] = 300.0
    tokens = Path(job["data_dir"]) / "tokens.toml"
    tokens.write_text(written(Entry(digest(OTHER_TOKEN), Principal("another", Via.TOKEN, Role.ADMIN))))
    tokens.chmod(0o600)
    settings = ViewerSettings(**job, **many, viewer_token=TOKEN, viewer_tokens_file=str(tokens), viewer_port=port)
    with socket.create_server(("127.0.0.1", port), backlog=1000) as listener:
        # As `spanflow serve` does.
        gc.collect()
        gc.freeze()
        ViewerServer(configured(create_app(settings), settings), 2).run(sockets=[listener])


if __name__ == "__main__":
    main()
