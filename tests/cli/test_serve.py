"""`spanflow serve`: serves the API where it says, and only to those who may."""

import json
import re
import signal
import socket
import sys
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.spanflow_command import running, spanflow, spanflow_given
from tests.support.viewer_server import TOKEN


def test_it_serves_on_a_free_port_and_prints_a_link_that_signs_in(redis_url: str, postgres_dsn: str) -> None:
    there = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}
    with running("serve", "--port", "0", settings=there) as viewer:
        link = re.search(r"Open (http://127\.0\.0\.1:\d+/)#code=(\S+)", viewer.wait_for("Application startup complete"))
        assert link is not None, viewer.said
        with httpx.Client(base_url=link[1]) as browser:
            assert browser.get("api/v1/session").status_code == 401
            headers = {"origin": link[1].rstrip("/")}
            assert browser.post("api/v1/session", json={"code": link[2]}, headers=headers).is_success
            assert browser.get("api/v1/session").json()["via"] == "session"
        viewer.end(signal.SIGTERM)
        assert "Application shutdown complete" in viewer.said


def test_answers_do_not_wait_for_the_client_where_there_is_no_uvloop(redis_url: str, postgres_dsn: str) -> None:
    there = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn}
    without = "import sys; sys.modules['uvloop'] = None; from spanflow.cli.main import main; main()"
    with running("serve", "--port", "0", settings=there, command=[sys.executable, "-c", without]) as viewer:
        said = viewer.wait_for("Application startup complete")
        link = re.search(r"Open (http://127\.0\.0\.1:\d+/)", said)
        assert link is not None, said
        with httpx.Client(base_url=link[1]) as browser:
            quickest = min(browser.get("api/v1/session").elapsed for _ in range(20))
            # Nagle's algorithm beside delayed acknowledgements: 40 ms, every time.
            assert quickest.total_seconds() < 0.03
        viewer.end(signal.SIGTERM)


def test_its_older_name_still_works() -> None:
    refused = spanflow("viewer", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "Set SPANFLOW_VIEWER_TOKEN" in refused.stderr


def test_it_refuses_to_be_open_to_other_machines_without_a_way_to_sign_in() -> None:
    refused = spanflow("serve", "--host", "0.0.0.0")
    assert refused.returncode == 2
    for way in ("TOKEN", "TOKENS_FILE", "JWT_ISSUER", "OIDC_ISSUER", "PROXY_PEERS"):
        assert f"SPANFLOW_VIEWER_{way}" in refused.stderr


def test_nor_by_a_socket_that_somebody_else_has_opened_to_them() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        refused = spanflow_given([listener.fileno()], "serve", "--fd", str(listener.fileno()))
    assert refused.returncode == 2
    assert "'0.0.0.0' can be reached from other machines" in refused.stderr


def test_a_socket_without_a_port_is_served_without_a_link(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKEN": TOKEN,
        "SPANFLOW_VIEWER_PROXY_PEERS": "unix",
    }
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "viewer.sock"))
        listener.listen()
        number = listener.fileno()
        with running("serve", "--fd", str(number), settings=there, pass_fds=[number]) as viewer:
            viewer.wait_for("Application startup complete")
            assert "#code=" not in viewer.said
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "viewer.sock"))) as client:
                asked = client.get("http://viewer/api/v1/session", headers={"Authorization": f"Bearer {TOKEN}"})
                assert asked.json()["name"] == "operator"
                assert client.get("http://viewer/api/v1/session").status_code == 401
                # Its proxy is known by its way.
                ada = {"X-User-Id": "7", "X-User-Role": "monitor", "X-Forwarded-For": "192.0.2.1"}
                assert client.get("http://viewer/api/v1/session", headers=ada).json()["user_id"] == 7
                assert client.post("http://viewer/api/v1/session/tickets", headers=ada).status_code == 200
            viewer.end(signal.SIGTERM)
            assert "remote=192.0.2.1" in viewer.said


def test_a_number_that_is_no_socket_is_said() -> None:
    refused = spanflow("serve", "--fd", "987")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--fd 987 is no open socket" in refused.stderr


def test_with_a_file_of_tokens_it_serves_other_machines_and_prints_no_link(
    redis_url: str, postgres_dsn: str, tmp_path: Path
) -> None:
    made = json.loads(spanflow("token", "new", "--name", "ada", "--role", "admin", "--json").stdout)
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(made["entry"])
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_TOKENS_FILE": str(tokens),
        "SPANFLOW_VIEWER_SECRET": "a-secret-of-at-least-32-characters-0",
    }
    port = free_port()
    with running("serve", "--host", "0.0.0.0", "--port", str(port), settings=there) as viewer:
        viewer.wait_for("Application startup complete")
        assert "#code=" not in viewer.said
        session = f"http://127.0.0.1:{port}/api/v1/session"
        known = httpx.get(session, headers={"Authorization": f"Bearer {made['token']}"}).json()
        assert (known["name"], known["role"]) == ("ada", "admin")
        assert httpx.get(session).status_code == 401
        viewer.end(signal.SIGTERM)
        assert made["token"] not in viewer.said


def test_a_link_works_beside_a_secret_of_its_own(redis_url: str, postgres_dsn: str) -> None:
    there = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_VIEWER_SECRET": "a-secret-of-at-least-32-characters-0",
    }
    with running("serve", "--port", "0", settings=there) as viewer:
        link = re.search(r"Open (http://127\.0\.0\.1:\d+/)#code=(\S+)", viewer.wait_for("Application startup complete"))
        assert link is not None, viewer.said
        assert httpx.post(f"{link[1]}api/v1/session", json={"code": link[2]}).json()["role"] == "admin"
        viewer.end(signal.SIGTERM)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    refused = spanflow("serve", SPANFLOW_VIEWER_TOKEN="secret")
    assert refused.returncode == 2
    assert "use at least 16 ASCII characters" in refused.stderr
    assert "'secret'" not in refused.stderr


def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = spanflow("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"the viewer cannot listen on 127.0.0.1:{port}. Choose another with --port or --host." in done.stderr
    assert "Traceback" not in done.stderr
