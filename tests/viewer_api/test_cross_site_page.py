"""A real browser on a page of another site, which tries to make it act on the viewer."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.poll import eventually
from tests.viewer_api.conftest import MakeViewer

ATTACK = """<!doctype html><html lang="en"><title>a page of another site</title>
<iframe name="sink"></iframe>
<form id="form" method="post" target="sink" enctype="text/plain" action="{viewer}/api/v1/monitoring/enable/7">
<input name='{{"reason":"' value='x"}}'></form>
<script>
const told = [];
document.getElementById("form").submit();
fetch("{viewer}/api/v1/monitoring/enable/8", {{method: "POST", mode: "no-cors", credentials: "include"}})
  .then(() => told.push("sent"), () => told.push("refused"));
fetch("{viewer}/api/v1/flows/user/7/sessions", {{mode: "no-cors", credentials: "include"}}).catch(() => null);
fetch("{viewer}/api/v1/audit", {{credentials: "include"}}).then(() => told.push("read"), () => told.push("unread"));
const socket = new WebSocket("{viewer}/api/v1/live".replace("http", "ws"));
socket.onopen = () => told.push("open");
socket.onclose = () => told.push("closed");
</script>"""


@pytest.fixture
def another_site() -> Iterator[tuple[dict[str, bytes], str]]:
    """Serves a page at `localhost`, which is another site than `127.0.0.1`."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, b"")
            self.send_response(200 if body else 204)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="another site", daemon=True)
    thread.start()
    yield pages, f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.browser
def test_a_real_browser_can_be_made_to_do_nothing_by_another_sites_page(
    make_viewer: MakeViewer, another_site: tuple[dict[str, bytes], str], browser: Browser
) -> None:
    # The hardest case: a forward-auth proxy whose own cookie goes along from everywhere, so that each request is
    # somebody's who may do everything.
    viewer = make_viewer(viewer_proxy_peers=("127.0.0.1",))
    pages, site = another_site
    pages["/"] = ATTACK.format(viewer=viewer.origin).encode()
    context = browser.new_context(extra_http_headers={"X-User-Id": "1", "X-User-Role": "admin"})
    try:
        page = context.new_page()
        page.goto(site)
        eventually(lambda: len(page.evaluate("told")) == 3, within=10)
        assert sorted(page.evaluate("told")) == ["closed", "refused", "unread"]
        assert viewer.get("/api/v1/audit") == {"entries": [], "next": None}
        # The same request from the viewer's own page is answered.
        page.goto(viewer.origin + "/healthz")
        own = page.evaluate("fetch('/api/v1/monitoring/enable/7', {method: 'POST'}).then(answer => answer.status)")
        assert own == 200
    finally:
        context.close()
