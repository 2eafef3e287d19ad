"""The reverse proxy of the page about moving: existing pages keep their addresses, and the gateway keeps the rest."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from websockets.typing import Origin

from tests.support.checkout import ROOT
from tests.support.ports import free_port
from tests.support.reverse_proxy import nginx, nginx_site
from tests.viewer_api.conftest import MakeFlow, MakeViewer

PAGE = (ROOT / "docs" / "moving-from-flowtracker.md").read_text(encoding="utf-8")
#: As a forward-auth proxy says who it is, in front of both.
WHO = {"X-User-Id": "1", "X-User-Role": "super_admin"}
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(nginx() is None, reason="no nginx on this machine: apt install nginx-light"),
]


def recipe() -> str:
    (found,) = re.findall(r"```nginx\n(.*?)```", PAGE, re.S)
    return str(found)


@contextmanager
def gateway() -> Iterator[str]:
    """Whoever has all other routes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"the gateway's " + self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="gateway", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


async def test_existing_pages_keep_their_addresses_behind_nginx(
    make_viewer: MakeViewer, make_flow: MakeFlow, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_proxy_peers=("127.0.0.1",), viewer_roles=(("super_admin", "admin"),))
    port = free_port()
    front = f"gateway.example.com:{port}"
    own = {"Host": front, "Origin": f"http://{front}", **WHO}
    with gateway() as others:
        rules = recipe().replace("http://127.0.0.1:8600", viewer.origin)
        site = f"server {{ listen 127.0.0.1:{port}; {rules} location / {{ proxy_pass {others}; }} }}"
        with nginx_site(tmp_path, site, port):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=own) as http:
                for path in ("/api/v1/chat/ask", "/api/v1/ws/chat", "/api/v1/flowsheets", "/"):
                    assert (await http.get(path)).text == f"the gateway's {path}"
                enabled = await http.post("/api/v1/monitoring/enable/7?ttl_hours=2")
                assert enabled.status_code == 200, enabled.text
                (watch,) = (await http.get("/api/v1/monitoring/list")).json()["monitored_users"]
                assert watch["expires_at"] > 1_700_000_000
                flow = make_flow()
                flow.start("root")
                for number, path in enumerate(("ws/flows/7", "ws")):
                    async with websockets.connect(
                        f"ws://{front}/api/v1/{path}",
                        origin=Origin(f"http://{front}"),
                        additional_headers=WHO,
                        host="127.0.0.1",
                        port=port,
                    ) as socket:
                        flow.step(f"auth-{number}", "root", "auth_check")
                        message = await asyncio.wait_for(socket.recv(), 10)
                        assert orjson.loads(message)["event_type"] == "auth_check"
                for path in ("flows/user/7/sessions", "activities/conversations", "mcp-analytics/overview"):
                    assert (await http.get(f"/api/v1/{path}")).status_code == 200, path
                # Another site's page orders nothing in the name of who is signed in.
                foreign = {"Origin": "https://evil.example"}
                assert (await http.post("/api/v1/monitoring/disable/7", headers=foreign)).status_code == 403
                assert len((await http.get("/api/v1/monitoring/list")).json()["monitored_users"]) == 1
