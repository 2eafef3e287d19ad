"""The set-ups of `docs/access.md`: its nginx configuration runs, and its files say what the page says of them."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from spanflow.cli.setting_roles import all_rows
from spanflow.viewer_api.auth.token_file import parsed
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support import child
from tests.support.checkout import ROOT
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port
from tests.viewer_api.conftest import MakeViewer

PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="no nginx on this machine: apt install nginx-light"
)


def block(language: str) -> str:
    """The page's one block in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return str(found)


def test_the_entry_of_a_token_is_one() -> None:
    (entry,) = parsed(block("toml").encode())
    assert (entry.owner.name, entry.owner.scope) == ("grafana", frozenset({"7", "8"}))


def test_what_the_page_exports_can_be_set() -> None:
    exported = re.findall(r"export (SPANFLOW_\w+)=('[^']*'|\"[^\"]*\"|\S+)", PAGE)
    assert len(exported) > 15
    known = {row.metadata["env"]: row for row in all_rows()}
    for name, value in exported:
        known[name].metadata["parse"](value.strip("'\""))
    assert ViewerSettings.from_environ({"SPANFLOW_VIEWER_ROLES": "flow-admins=admin,support=monitor"}).viewer_roles == (
        ("flow-admins", "admin"),
        ("support", "monitor"),
    )


DASHBOARD = "https://dashboard.example.com"
#: Who oauth2-proxy knows by which cookie, and what it says about them.
PEOPLE = {
    "ada": {"User": "7", "Email": "ada@example.org", "Groups": "staff,support"},
    "eve": {"User": "8", "Email": "eve@example.org"},
}


@contextmanager
def oauth2_proxy() -> Iterator[str]:
    """Answers as oauth2-proxy does with `--set-xauthrequest`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            who = self.headers.get("Cookie", "").removeprefix("_oauth2_proxy=")
            asked = self.path == "/oauth2/auth"
            self.send_response((202 if who in PEOPLE else 401) if asked else 403)
            for name, value in PEOPLE.get(who, {}).items() if asked else ():
                self.send_header(f"X-Auth-Request-{name}", value)
            body = b"" if asked else b"the sign-in page"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="oauth2-proxy", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def nginx(folder: Path, viewer: str, signs_in: str) -> Iterator[str]:
    """nginx with the page's configuration, but for the addresses and the certificate."""
    port = free_port()
    site = block("nginx").replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"\n +ssl_certificate.*", "", site)
    inside, _, beside = block("conf").partition("\n\n")
    site = site.replace("    location / {\n", f"{beside}\nlocation / {{\n{inside}\n")
    site = site.replace("http://127.0.0.1:4180", signs_in).replace("http://127.0.0.1:8600", viewer)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    config.chmod(0o644)
    child.give_to_server(folder)
    log = folder / "log"
    process = child.start([shutil.which("nginx") or "", "-p", folder, "-c", config], log, cwd=folder)
    try:
        eventually(lambda: accepts(port) or process.poll() is not None, within=10)
        assert process.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
@needs_nginx
@pytest.mark.anyio
async def test_behind_nginx_and_oauth2_proxy_people_are_who_they_signed_in_as(
    make_viewer: MakeViewer, new_server_directory: Callable[[], Path]
) -> None:
    viewer = make_viewer(
        viewer_token="",
        viewer_proxy_peers=("127.0.0.1",),
        viewer_public_url="https://flows.example.com",
        viewer_allowed_origins=(DASHBOARD,),
        viewer_roles=(("flow-admins", "admin"), ("support", "monitor")),
    )
    own = {"Host": "flows.example.com", "Origin": "https://flows.example.com"}
    forged = {"X-User-Role": "admin", "X-User-Id": "99", "X-Forwarded-User": "root", "X-Forwarded-For": "6.6.6.6"}
    with oauth2_proxy() as signs_in, nginx(new_server_directory(), viewer.origin, signs_in) as front:
        async with httpx.AsyncClient(base_url=f"http://{front}", headers=own) as http:

            async def session(who: str, **headers: str) -> dict[str, Any]:
                sent = {"Cookie": f"_oauth2_proxy={who}", **headers}
                answer = await http.get("/api/v1/session", headers=sent)
                assert answer.status_code == 200, answer.text
                found: dict[str, Any] = answer.json()
                return found

            stranger = await http.get("/", headers=forged)
            assert stranger.text == "the sign-in page"
            for headers in ({}, forged):
                ada = await session("ada", **headers)
                assert (ada["name"], ada["user_id"], ada["role"]) == ("ada@example.org", 7, "monitor")
                eve = await session("eve", **headers)
                assert (eve["name"], eve["user_id"], eve["role"]) == ("eve@example.org", 8, "viewer")
            enable = "/api/v1/monitoring/enable/7"
            elsewhere = {"Origin": DASHBOARD, "Access-Control-Request-Method": "POST"}
            leave = await http.options(enable, headers=elsewhere)
            assert (leave.status_code, leave.headers["access-control-allow-origin"]) == (200, DASHBOARD)
            # It lets nobody in who is not asking for leave.
            assert (await http.options(enable, headers=forged)).status_code == 401
            cookie = {"Cookie": "_oauth2_proxy=ada"}
            for origin, status in ((own["Origin"], 200), (DASHBOARD, 200), ("https://evil.example", 403)):
                enabled = await http.post(enable, headers={**cookie, "Origin": origin})
                assert enabled.status_code == status, origin
        async with websockets.connect(
            f"ws://{front}/api/v1/live", additional_headers={**cookie, "Origin": own["Origin"]}
        ) as socket:
            assert '"hello"' in str(await socket.recv())
