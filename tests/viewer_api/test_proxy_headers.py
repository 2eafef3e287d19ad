"""What a forward-auth proxy says about the person, from whom it is believed, and where a request came from."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from spanflow.viewer_api.auth.forwarded import ForwardedHeaders
from spanflow.viewer_api.auth.permissions import Principal, Role
from spanflow.viewer_api.auth.proxy_peers import ProxyPeers
from spanflow.viewer_api.auth.remote import neighbourhood, remote_address
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.query import query
from tests.viewer_api.conftest import MakeViewer

PEERS = ProxyPeers(["10.0.0.0/8", "fd00::/8"])
NOW = 1_772_366_400.0
Headers = list[tuple[str, str]] | dict[str, str]


def connection(headers: Headers, peer: str | None = "10.0.0.1") -> HTTPConnection:
    pairs = headers if isinstance(headers, list) else list(headers.items())
    raw = [(name.lower().encode("latin-1"), value.encode("utf-8", "replace")) for name, value in pairs]
    return HTTPConnection({"type": "http", "headers": raw, "client": (peer, 1) if peer else None})


def said(headers: Headers, peer: str | None = "10.0.0.1", **settings: Any) -> Principal | None:
    return ForwardedHeaders(ViewerSettings(**settings), PEERS, lambda: NOW).principal(connection(headers, peer))


def known(headers: Headers, **settings: Any) -> tuple[str, Role, str | None, frozenset[str] | None]:
    principal = said(headers, **settings)
    assert principal is not None
    return principal.name, principal.role, principal.user_id, principal.scope


def test_the_headers_say_who_it_is_and_what_they_may() -> None:
    ada = {"X-Forwarded-User": "ada@example.org", "X-User-Id": "7", "X-User-Role": "super_admin"}
    roles = (("super_admin", "admin"),)
    assert known(ada, viewer_roles=roles) == ("ada@example.org", Role.ADMIN, "7", None)
    assert known(ada) == ("ada@example.org", Role.VIEWER, "7", None)
    assert known({"X-User-Id": "7", "X-User-Role": "monitor"}) == ("7", Role.MONITOR, "7", None)
    assert known({"X-Forwarded-User": "ada"}) == ("ada", Role.VIEWER, None, None)
    assert known({"X-User-Id": "7"}, viewer_default_role="monitor") == ("7", Role.MONITOR, "7", None)
    assert known({"X-User-Id": "7", "X-User-Role": "staff, admin"}) == ("7", Role.ADMIN, "7", None)
    assert said({"X-User-Id": "7", "X-User-Role": "x"}, viewer_default_role="none") is None
    assert said({"X-User-Role": "admin"}) is None


def test_a_users_header_narrows_monitors_and_its_absence_leaves_them_nobody() -> None:
    monitor = {"X-User-Id": "7", "X-User-Role": "monitor"}
    setting = {"viewer_proxy_users_header": "X-Users"}
    assert known({**monitor, "X-Users": "8, 9"}, **setting)[3] == frozenset({"8", "9"})
    assert known(monitor, **setting)[3] == frozenset()
    assert known({**monitor, "X-Users": "*"}, **setting)[3] is None
    # Off, the header is one like any other.
    assert known({**monitor, "X-Users": "8"})[3] is None


def test_its_word_holds_for_a_while() -> None:
    ada = said({"X-User-Id": "7"}, viewer_proxy_holds_minutes=15.0)
    assert ada is not None
    assert ada.expires_at == datetime.fromtimestamp(NOW + 15 * 60, UTC)


@pytest.mark.anyio
async def test_a_socket_that_stays_open_is_let_in_anew(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_proxy_peers=("127.0.0.1",), viewer_proxy_holds_minutes=0.02)
    ada = {"X-User-Id": "7", "X-User-Role": "admin"}
    for path, said in (("live", ["hello", "closing"]), ("ws/flows/7", [])):
        async with websockets.connect(f"{viewer.ws}/api/v1/{path}", additional_headers=ada) as socket:
            heard = []
            with pytest.raises(websockets.ConnectionClosedError):
                while True:
                    heard.append(orjson.loads(await asyncio.wait_for(socket.recv(), 5))["type"])
            assert heard == said
            assert (socket.close_code, socket.close_reason) == (4410, "sign_in_again")
    # Nor does what is made from it last longer.
    code = viewer.stranger.post("/api/v1/session/codes", headers=ada).json()["code"]
    session = viewer.stranger.post("/api/v1/session", json={"code": code}).json()
    assert datetime.fromisoformat(session["expires_at"]).timestamp() < time.time() + 2


def test_headers_that_are_switched_off_are_not_read() -> None:
    off = {"viewer_proxy_role_header": "off", "viewer_proxy_id_header": "OFF"}
    headers = {"X-Forwarded-User": "ada", "X-User-Id": "7", "X-User-Role": "admin"}
    assert known(headers, **off) == ("ada", Role.VIEWER, None, None)


@pytest.mark.parametrize("name", ["X-Forwarded-User", "X-User-Id", "X-User-Role"])
def test_a_header_that_comes_twice_signs_nobody_in(name: str) -> None:
    once = [("X-Forwarded-User", "ada"), ("X-User-Id", "7"), ("X-User-Role", "viewer")]
    assert said(once) is not None
    assert said([*once, (name, "admin")]) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"X-User-Id": "a/b"},
        {"X-User-Id": "x" * 129},
        {"X-User-Id": "7", "X-Forwarded-User": "a\x7fb"},
        {"X-Forwarded-User": "a\u202eb"},
        {"X-Forwarded-User": "x" * 129},
        {"X-Forwarded-User": "", "X-User-Id": ""},
    ],
)
def test_what_cannot_be_a_name_or_an_id_signs_nobody_in(headers: dict[str, str]) -> None:
    assert said(headers) is None


@pytest.mark.parametrize(
    ("server", "listed", "believed"),
    [
        (("/run/spanflow.sock", None), ["unix"], True),
        (("/run/spanflow.sock", None), ["127.0.0.1"], False),
        # Of a client that is gone already there is no address left, whichever way it came.
        (("127.0.0.1", 8600), ["unix"], False),
        (None, ["unix"], False),
    ],
)
def test_a_proxy_without_an_address_is_known_by_its_way(
    server: tuple[str, int | None] | None, listed: list[str], believed: bool
) -> None:
    headers = [(b"x-user-id", b"7"), (b"x-forwarded-for", b"192.0.2.1")]
    request = HTTPConnection({"type": "http", "headers": headers, "client": None, "server": server})
    peers = ProxyPeers(listed)
    assert (ForwardedHeaders(ViewerSettings(), peers, lambda: NOW).principal(request) is not None) == believed
    assert (remote_address(request, peers) == "192.0.2.1") == believed


@pytest.mark.parametrize("peer", [None, "11.0.0.1", "127.0.0.1", "::1", "testclient", ""])
def test_from_anybody_else_they_mean_nothing(peer: str | None) -> None:
    assert said({"X-User-Id": "7", "X-User-Role": "admin", "X-Forwarded-For": "10.0.0.1"}, peer) is None


@given(st.dictionaries(st.sampled_from(["X-Forwarded-User", "X-User-Id", "X-User-Role", "X-Users"]), st.text()))
def test_no_header_whatever_makes_an_error(headers: dict[str, str]) -> None:
    said(headers, viewer_proxy_users_header="X-Users")


def test_existing_dashboards_behind_a_proxy_see_their_own_flows_only(
    make_viewer: MakeViewer, postgres_dsn: str
) -> None:
    viewer = make_viewer(viewer_token="", viewer_proxy_peers=("127.0.0.0/8",), viewer_host="0.0.0.0")
    person = {"X-User-Id": "7", "X-User-Role": "user", "X-Forwarded-For": "6.6.6.6, 192.0.2.9"}
    flows = "/api/v1/monitoring/flows/"
    assert viewer.stranger.get(flows + "7", headers=person).json() == {"flows": []}
    assert viewer.stranger.get(flows + "8", headers=person).status_code == 403
    assert viewer.stranger.get("/api/v1/monitoring/list", headers=person).status_code == 403
    admin = {**person, "X-User-Role": "admin"}
    assert viewer.stranger.get("/api/v1/monitoring/list", headers=admin).status_code == 200
    rows = query(postgres_dsn, "SELECT DISTINCT actor, remote FROM omni2.audit_log")
    # What the client itself put into X-Forwarded-For stands left of what the proxy saw.
    assert rows == [{"actor": "7", "remote": "192.0.2.9"}]


# -- where a request comes from ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "header", "remote"),
    [
        ("192.0.2.1", "6.6.6.6", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9, 10.0.0.2", "192.0.2.9"),
        ("10.0.0.1", "192.0.2.9:4711", "192.0.2.9"),
        ("10.0.0.1", "[2001:db8::1]:4711, fd00::2", "2001:db8::1"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (None, "6.6.6.6", None),
    ],
)
def test_the_nearest_address_that_is_no_proxy_counts(peer: str | None, header: str, remote: str | None) -> None:
    assert remote_address(connection({"X-Forwarded-For": header}, peer), PEERS) == remote


def test_several_lines_of_the_header_are_one_list() -> None:
    lines = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.9")]
    assert remote_address(connection(lines), PEERS) == "192.0.2.9"


def test_addresses_of_one_household_count_together() -> None:
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert neighbourhood("2001:db8:1:3::9") != neighbourhood("2001:db8:1:2::9")
    assert neighbourhood("::ffff:192.0.2.1") == neighbourhood("192.0.2.1") == "192.0.2.1"
    assert neighbourhood("192.0.2.2") != neighbourhood("192.0.2.1")
    assert (neighbourhood(None), neighbourhood("unix")) == ("unknown", "unix")


@given(st.text(), st.sampled_from(["10.0.0.1", "192.0.2.1"]))
def test_no_text_in_the_header_makes_an_error(header: str, peer: str) -> None:
    assert remote_address(connection({"X-Forwarded-For": header}, peer), PEERS) is not None
