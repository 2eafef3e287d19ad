"""A balancer without stickiness before several servers: haproxy, or where that is not installed one of our own."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

_HAPROXY = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch
    retries 3
frontend viewer
    bind 127.0.0.1:{port}
    default_backend viewers
backend viewers
    balance roundrobin
    option httpchk GET /healthz
{servers}
"""
_OURS = """\
import asyncio, sys

port, upstreams, turn = int(sys.argv[1]), [int(word) for word in sys.argv[2:]], 0

async def serve(reader, writer):
    global turn
    upstream = None
    try:
        for _ in upstreams:
            turn += 1
            try:
                answers, upstream = await asyncio.open_connection("127.0.0.1", upstreams[turn % len(upstreams)])
                break
            except OSError:
                continue
        if upstream is not None:
            await asyncio.gather(pump(reader, upstream), pump(answers, writer))
    except OSError:
        pass
    finally:
        for side in filter(None, (writer, upstream)):
            side.close()

async def pump(reader, writer):
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"""


def haproxy() -> str | None:
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


@contextlib.contextmanager
def balancer(ports: Sequence[int], folder: Path) -> Iterator[str]:
    """Its address, like `127.0.0.1:4711`. Each connection goes to the next server that answers."""
    port = free_port()
    if program := haproxy():
        servers = "\n".join(
            f"    server viewer{number} 127.0.0.1:{each} check inter 200ms fall 1 rise 1"
            for number, each in enumerate(ports)
        )
        (folder / "haproxy.cfg").write_text(_HAPROXY.format(port=port, servers=servers))
        command = [program, "-db", "-f", str(folder / "haproxy.cfg")]
    else:
        command = [sys.executable, "-c", _OURS, str(port), *map(str, ports)]
    with (folder / "balancer.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(lambda: accepts(port), within=15)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)
