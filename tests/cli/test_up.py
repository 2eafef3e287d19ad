"""`spanflow up`: everything with one command, and nothing of it left, however it ends."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from spanflow.cli import launcher
from tests.support.poll import eventually
from tests.support.ports import accepts, free_port
from tests.support.spanflow_command import processes_of, running, spanflow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for leftovers in /proc")

TOKEN = "a-token-that-only-this-test-knows"
LINK = re.compile(r"Open (http://127\.0\.0\.1:(\d+)/)#code=(\S+)")


@pytest.fixture
def data(new_server_directory: Callable[[], Path]) -> Path:
    return new_server_directory() / "data"


@pytest.fixture
def settings(data: Path) -> dict[str, str]:
    return {"SPANFLOW_DATA_DIR": str(data)}


def nothing_is_left(data: Path, port: int) -> bool:
    """No process, no port, no socket, no record of a process."""
    assert processes_of(data) == []
    assert not accepts(port)
    assert [path.name for folder in ("run", "records") for path in (data / folder).iterdir()] == []
    return True


def link_in(text: str) -> tuple[str, int, str]:
    match = LINK.search(text)
    assert match is not None, text
    return match[1], int(match[2]), match[3]


@pytest.fixture
def in_a_folder_of_misleading_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files have the names of libraries, and nothing of ours may import them."""
    for library in ("click", "alembic", "redis"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('the wrong file')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tests.support.spanflow_command.COMMAND", [sys.executable, "-P", "-m", "spanflow.cli.main"])


@pytest.mark.usefixtures("in_a_folder_of_misleading_files")
def test_its_link_signs_in_once_other_commands_find_it_and_ctrl_c_stops_all_of_it(
    data: Path, settings: dict[str, str]
) -> None:
    with running("up", settings=settings) as up:
        address, port, code = link_in(up.wait_for("#code="))
        with httpx.Client(base_url=address) as browser:
            headers = {"origin": address.rstrip("/")}
            assert browser.get("api/v1/monitoring/list").status_code == 401
            signed_in = browser.post("api/v1/session", json={"code": code}, headers=headers)
            assert signed_in.is_success, signed_in.text
            assert browser.get("api/v1/monitoring/list").json() == {"monitored_users": []}
            assert not browser.post("api/v1/session", json={"code": code}, headers=headers).is_success
        # A fresh link for another browser, from another terminal.
        opened = spanflow("open", "--print", **settings)
        another, _, second_code = link_in(f"Open {opened.stdout}")
        assert (opened.returncode, another) == (0, address)
        assert len(second_code) < 80
        with httpx.Client(base_url=address) as browser:
            signed_in = browser.post("api/v1/session", json={"code": second_code}, headers=headers)
            assert signed_in.is_success, signed_in.text
        # Commands on this machine find the viewer, and may sign in, by the data directory; and they find the servers.
        assert spanflow("monitor", "list", **settings).stderr == "No user is watched.\n"
        migrated = spanflow("migrate", **settings)
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stdout.startswith("Schema omni2: revision ")
        second = spanflow("up", **settings)
        assert second.returncode == 1
        assert f"{data} is in use by process {up.process.pid} (spanflow up, since " in second.stderr
        assert up.end(signal.SIGINT) == 0
        assert up.said.splitlines()[-3:] == ["  stopped viewer", "  stopped Redis", "  stopped PostgreSQL"]
    assert nothing_is_left(data, port)


def test_a_restart_signs_nobody_out_and_commands_find_it_without_settings(
    data: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_DATA_HOME": str(tmp_path / "data"), "SPANFLOW_DATA_DIR": ""}
    port = free_port()
    with httpx.Client() as browser:
        for start in ("first", "second"):
            with running(
                "up", "--port", str(port), settings={**settings, "XDG_STATE_HOME": home["XDG_STATE_HOME"]}
            ) as up:
                address, _, code = link_in(up.wait_for("#code="))
                assert address == f"http://127.0.0.1:{port}/"
                if start == "first":
                    headers = {"origin": address.rstrip("/")}
                    assert browser.post(f"{address}api/v1/session", json={"code": code}, headers=headers).is_success
                assert browser.get(f"{address}api/v1/session").json()["name"] == "operator"
                # Another terminal, in which nobody has set the data directory.
                assert spanflow("monitor", "list", **home).stderr == "No user is watched.\n"
                assert up.end(signal.SIGINT) == 0
    assert "cannot be reached" in spanflow("monitor", "list", **home).stderr
    assert (data / "viewer-token").stat().st_mode & 0o777 == 0o600


def test_it_says_why_it_takes_another_port(settings: dict[str, str], data: Path) -> None:
    with socket.create_server(("127.0.0.1", 8600)) if not accepts(8600) else nullcontext():
        with running("up", settings=settings) as up:
            up.wait_for("#code=")
            assert "port 8600 is taken by another program" in up.said
            assert up.end(signal.SIGINT) == 0
        refused = spanflow("up", "--port", "8600", **settings)
        assert refused.returncode == 1
        assert "the viewer cannot listen on 127.0.0.1, port 8600" in refused.stderr


def test_after_a_kill_the_next_start_finds_everything_and_no_orphan(data: Path, settings: dict[str, str]) -> None:
    with running("up", "--demo", settings=settings) as up:
        _, port, _ = link_in(up.wait_for("#code="))
        left = [pid_of(part, data) for part in ("postgres", "redis", "viewer", "gateway", "traffic")]
        ask(data, "INSERT INTO omni2.interaction_flows (flow_id, user_id) VALUES ('f1', '17')")
        up.process.kill()
        up.process.wait()
    # What it left is still ending while the next one wants to begin, without the demo.
    with running("up", settings=settings) as up:
        up.wait_for("#code=")
        assert [pid for pid in left if launcher.identity(pid)] == []
        assert ask(data, "SELECT user_id FROM omni2.interaction_flows WHERE flow_id = 'f1'") == "17"
        assert up.end(signal.SIGINT) == 0
    assert nothing_is_left(data, port)


def ask(data: Path, query: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(f"postgresql://spanflow@/spanflow?host={data}/run&port=5432", timeout=10)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_when_a_part_ends_by_itself_the_others_are_stopped_and_its_log_is_shown(
    data: Path, settings: dict[str, str]
) -> None:
    with running("up", settings=settings) as up:
        _, port, _ = link_in(up.wait_for("#code="))
        os.kill(pid_of("viewer", data), signal.SIGKILL)
        assert up.process.wait(30) == 1
        assert "viewer ended by itself (exit code -9)." in up.wait_for("viewer.log)")
    assert nothing_is_left(data, port)


def pid_of(part: str, data: Path) -> int:
    return int(json.loads((data / "records" / f"{part}.json").read_text())["pid"])


def test_ctrl_c_while_it_starts_leaves_nothing(data: Path, settings: dict[str, str]) -> None:
    with running("up", settings=settings) as up:
        up.wait_for("✓ PostgreSQL")
        assert up.end(signal.SIGINT) == 130
    assert processes_of(data) == []
    assert [path.name for folder in ("run", "records") for path in (data / folder).iterdir()] == []


def test_servers_that_the_settings_name_are_used_instead_of_embedded_ones(
    data: Path, settings: dict[str, str], redis_url: str, empty_postgres_dsn: str
) -> None:
    named = {**settings, "SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": empty_postgres_dsn}
    with running("up", settings=named) as up:
        up.wait_for("#code=")
        assert not (data / "postgres").exists()
        assert len(eventually(lambda: processes_of(data))) == 2  # itself and the viewer
        assert up.end(signal.SIGINT) == 0


def test_it_refuses_to_be_open_to_other_machines_without_a_way_to_sign_in(settings: dict[str, str]) -> None:
    refused = spanflow("up", SPANFLOW_VIEWER_HOST="0.0.0.0", **settings)
    assert refused.returncode == 2
    assert "SPANFLOW_VIEWER_HOST: '0.0.0.0' can be reached from other machines" in refused.stderr


def test_the_demo_shows_live_and_past_flows_and_leaves_no_process_of_its_gateway(
    data: Path, settings: dict[str, str]
) -> None:
    with running("up", "--demo", settings={**settings, "SPANFLOW_VIEWER_TOKEN": TOKEN}) as up:
        address, port, _ = link_in(up.wait_for("#code="))
        with httpx.Client(base_url=f"{address}api/v1/", headers={"authorization": f"Bearer {TOKEN}"}) as operator:
            watched = operator.get("monitoring/list").json()["monitored_users"]
            assert {user["user_id"] for user in watched} == {1, 2, 3}
            # Alerts, of which some fire soon, and what flows of two weeks cost.
            rules = operator.get("alerts").json()["rules"]
            assert len(rules) == 5 and all(len(rule["channels"]) == 1 for rule in rules)
            eventually(lambda: operator.get("alerts/events").json()["events"], within=60)
            day: dict[str, str | int] = {
                "since": (datetime.now(UTC) - timedelta(days=13)).isoformat(),
                "outcome": "ok",
                "limit": 1,
            }
            assert operator.get("flows", params={**day, "sort": "cost"}).json()["flows"][0]["cost"] > 0
            flows = eventually(lambda: operator.get("monitoring/flows/1").json()["flows"], within=30)
        assert {"session_id", "flow_data", "created_at", "completed_at"} <= set(flows[0])
        tools = children_of(pid_of("gateway", data))
        assert len(tools) == 1
        assert up.end(signal.SIGTERM) == 0
    assert nothing_is_left(data, port)
    assert [pid for pid in tools if launcher.identity(pid)] == []


def children_of(pid: int) -> list[int]:
    return [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]
