"""Reverse proxies that serve a viewer below a folder, as real processes."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.poll import eventually
from tests.support.ports import accepts, free_port

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {site}
}}
"""
_FOLDER = """
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        location {path}/ {{
            proxy_pass http://{upstream}{target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout 1h;
        }}
    }}
"""
_OURS = """\
import asyncio, sys

port, host, upstream_port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
path, strip = sys.argv[4], sys.argv[5] == "1"

async def serve(reader, writer):
    # One request per connection, so that only one head has to be rewritten; a socket keeps its connection.
    upstream = None
    try:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        first, *lines = head.removesuffix(b"\\r\\n\\r\\n").split(b"\\r\\n")
        method, target, version = first.split(b" ")
        if strip:
            target = target.removeprefix(path.encode()) or b"/"
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
        answers, upstream = await asyncio.open_connection(host, upstream_port)
        upstream.write(b"\\r\\n".join([b" ".join((method, target, version)), *lines]) + b"\\r\\n\\r\\n")
        await asyncio.gather(pump(reader, upstream), pump(answers, writer))
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        for side in filter(None, (writer, upstream)):
            side.close()

async def pump(reader, writer):
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"""


def nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextlib.contextmanager
def reverse_proxy(kind: str, upstream: str, path: str, folder: Path, *, strips: bool) -> Iterator[str]:
    """The address of the folder; `strips` says whether the proxy removes it from the path. `kind`: nginx or ours."""
    port = free_port()
    if kind == "nginx":
        site = _FOLDER.format(port=port, path=path, upstream=upstream, target="/" if strips else "")
        command = _nginx_command(folder, site)
    else:
        host, _, upstream_port = upstream.partition(":")
        words = [str(port), host, upstream_port, path, "1" if strips else "0"]
        command = [sys.executable, "-c", _OURS, *words]
    with _running(command, port):
        yield f"http://127.0.0.1:{port}{path}"


@contextlib.contextmanager
def nginx_site(folder: Path, site: str, port: int) -> Iterator[None]:
    """nginx with this text in its `http` block, listening on `port`."""
    with _running(_nginx_command(folder, site), port):
        yield


def _nginx_command(folder: Path, site: str) -> list[str]:
    program = nginx()
    assert program is not None
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, site=site))
    # As root, nginx would give the work to another user, who may not enter the folder.
    directives = ["-g", "master_process off;", "-e", str(folder / "error.log")]
    return [program, "-c", str(folder / "nginx.conf"), *directives]


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        eventually(lambda: accepts(port) or process.poll() is not None, within=15)
        assert process.poll() is None
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=15)
