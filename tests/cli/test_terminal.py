"""`spanflow tail`, `flows`, `show` and `monitor` against a real viewer, as a person types them."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dirty_equals import IsPartialDict
from inline_snapshot import snapshot

from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.flow_writer import FlowWriter
from tests.support.ports import free_port
from tests.support.query import query, script
from tests.support.spanflow_command import COMMAND, Running, environment, running, spanflow
from tests.support.viewer_server import TOKEN, RunningViewer, running_viewer

FLOW = 0x0AF7651916CD43DD8448EB211C80319C
#: 2026-03-01 11:00 UTC
ELEVEN = 1_772_362_800_000_000_000


@pytest.fixture
def viewer(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[RunningViewer]:
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer") as started:
        yield started


@pytest.fixture
def here(viewer: RunningViewer) -> dict[str, str]:
    return {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN, "TZ": "UTC"}


@pytest.fixture
def stored(postgres_dsn: str, tmp_path: Path) -> None:
    """A flow that was refused half way."""
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260223 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-02-23 00:00Z') TO ('2026-03-02 00:00Z')",
    )

    def step(number: int, parent: int | None, kind: str, begin: int, end: int, **more: Any) -> Any:
        return span(number, parent, event_type=kind, start_ns=ELEVEN + begin * MS, end_ns=ELEVEN + end * MS, **more)

    spans = [
        step(1, None, "span", 0, 1234, name="POST /ask"),
        step(2, 1, "auth_check", 10, 20, name="auth_check"),
        step(3, 1, "tool_call", 30, 1000, name="tools/call 状態"),
        step(4, 3, "span", 40, 900, name="\x1b[2J\x1b[1;1Hfake prompt$"),
        step(5, 1, "tool_call", 35, 500, name="tools/call quick"),
    ]
    who = Identity("7", "trinity@example.com", "Trinity", "s-1", "c-1", "web")
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), part(FLOW, spans, identity=who))


def lines_of(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- past flows --------------------------------------------------------------------------------------------------------


def test_a_flow_is_shown_as_a_tree_with_what_its_duration_is_made_of(here: dict[str, str], stored: None) -> None:
    done = spanflow("show", f"{FLOW:032x}", **here)
    assert done.returncode == 0, done.stderr
    assert done.stdout == snapshot("""\
Flow 0af7651916cd43dd8448eb211c80319c
  name          POST /ask
  user          7
  session       s-1
  conversation  c-1
  started       2026-03-01 11:00:00
  outcome       ok after 1.23 s

✓ POST /ask                                                                                                     1.23 s ◆
├─ ✓ auth_check                                                                                                  10 ms ◆
├─ ✓ tool_call  tools/call 状態                                                                                 970 ms ◆
│  └─ ✓ �[2J�[1;1Hfake prompt$                                                                                  860 ms ◆
└─ ✓ tool_call  tools/call quick                                                                                465 ms

◆ these steps make up the duration: shorten one, and the flow is shorter
""")


@pytest.mark.parametrize(
    ("policy", "said"), [("off", "not recorded, by policy (SPANFLOW_CONTENT=off)"), ("full", None), ("", None)]
)
def test_it_says_that_contents_are_not_recorded(
    policy: str, said: str | None, here: dict[str, str], postgres_dsn: str, tmp_path: Path
) -> None:
    about = json.dumps({"content": policy} if policy else {}).encode()
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), replace(part(FLOW, [span(1, event_type="llm_thinking")]), process=about))
    shown = spanflow("show", f"{FLOW:032x}", **here).stdout.splitlines()
    assert [line.removeprefix("  contents      ") for line in shown if "contents" in line] == ([said] if said else [])


def test_the_same_as_json(here: dict[str, str], stored: None) -> None:
    (shown,) = lines_of(spanflow("show", f"{FLOW:032x}", "--json", **here))
    assert shown == IsPartialDict(flow_id=f"{FLOW:032x}", user_id=7, outcome="ok", duration_ms=1234.0)
    assert [row["depth"] for row in shown["spans"]] == [0, 1, 1, 2, 1]


def test_flows_are_listed_by_filters(here: dict[str, str], stored: None) -> None:
    done = spanflow("flows", "--user", "7", "--tool", "nothing", **here)
    assert (done.stdout, done.stderr) == ("", "No flow matches.\n")
    done = spanflow("flows", "--user", "7", "--until", "2026-03-01", **here)
    assert done.stdout == snapshot("""\
  BEGAN                FLOW                              USER                 OUTCOME  TOOK    REQUEST    TOOLS  REASON
✓ 2026-03-01 11:00:00  0af7651916cd43dd8448eb211c80319c  trinity@example.com  ok       1.23 s  POST /ask
""")
    assert [flow["flow_id"] for flow in lines_of(spanflow("flows", "--json", **here))] == [f"{FLOW:032x}"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({"flow.denied.reason": "no questions left for today"}, "no questions left for today"), ({}, "usage_check")],
)
def test_the_list_says_why_a_flow_was_denied(
    attributes: dict[str, Any], reason: str, here: dict[str, str], postgres_dsn: str, tmp_path: Path
) -> None:
    gate = span(1, None, event_type="usage_check", name="usage_check", outcome="denied", attributes=attributes)
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), part(FLOW, [gate]))
    head, row = spanflow("flows", "--outcome", "denied", **here).stdout.splitlines()
    assert row[head.index("REASON") :] == reason
    assert f"  because       {reason}\n" in spanflow("show", f"{FLOW:032x}", **here).stdout


def test_an_id_may_be_shortened(here: dict[str, str], stored: None, redis_url: str) -> None:
    whole = spanflow("show", f"{FLOW:032x}", **here)
    assert spanflow("show", f"{FLOW:032x}"[:8], **here).stdout == whole.stdout
    assert [flow["flow_id"] for flow in lines_of(spanflow("flows", "--id", "0AF765", "--json", **here))] == [
        f"{FLOW:032x}"
    ]
    with FlowWriter(redis_url, flow_id=f"{FLOW + 1:032x}") as other:
        other.start("root", name="another one")
        done = spanflow("show", f"{FLOW:032x}"[:8], **here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("spanflow: several flows begin with 0af76519: ")
    assert "give the first 6 to 32 hexadecimal digits" in spanflow("flows", "--id", "0af", **here).stderr


def test_a_failed_span_is_no_success_and_says_why(here: dict[str, str], postgres_dsn: str, tmp_path: Path) -> None:
    times: dict[str, Any] = {"start_ns": ELEVEN, "end_ns": ELEVEN + MS}
    failed: dict[str, Any] = {"status": "error", "status_message": "the model is overloaded", **times}
    answered: dict[str, Any] = {"kind": "server", "attributes": {"http.response.status_code": 500}, **times}
    spans = [
        span(1, None, event_type="span", name="POST /ask", **answered),
        span(2, 1, event_type="span", name="POST api.example.com", **failed),
        span(
            3,
            1,
            event_type="block_check",
            name="block_check",
            outcome="denied",
            attributes={"flow.denied.reason": "too many requests"},
            **times,
        ),
    ]
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        deliver(archives.make(), part(FLOW, spans, identity=Identity("7")))
    shown = spanflow("show", f"{FLOW:032x}", **here).stdout.split("\n\n")[1]
    assert shown == snapshot("""\
✕ POST /ask  error: HTTP 500                                                                                    1.0 ms
├─ ✕ POST api.example.com  error: the model is overloaded                                                       1.0 ms ◆
└─ ⊘ block_check  denied: too many requests                                                                     1.0 ms\
""")


def test_times_may_be_said_as_people_do(here: dict[str, str], redis_url: str) -> None:
    with FlowWriter(redis_url) as flow:
        flow.start("root", name="just now")
        for since, found in (("yesterday", 1), ("today", 1), ("2h", 1), ("3d", 1), ("0s", 1), ("1 hour ago", 1)):
            assert len(lines_of(spanflow("flows", "--since", since, "--json", **here))) == found
        for until in ("1h", "30 minutes", "2 days ago"):
            assert lines_of(spanflow("flows", "--until", until, "--json", **here)) == []
    assert "write a time like" in spanflow("flows", "--since", "the day before", **here).stderr


def test_it_is_said_when_nobody_knows_what_runs(
    here: dict[str, str], stored: None, postgres_dsn: str, redis_url: str, tmp_path: Path, proxy: Callable[..., Any]
) -> None:
    line = proxy(redis_url)
    with running_viewer(postgres_dsn, line.url, tmp_path / "other", redis_timeout=0.5) as viewer:
        assert "without_running" not in viewer.get("/api/v1/flows")
        line.cut()
        assert viewer.get("/api/v1/flows")["without_running"] is True
        done = spanflow("flows", "--json", **{**here, "SPANFLOW_URL": viewer.origin})
        line.restore()
    assert [flow["flow_id"] for flow in lines_of(done)] == [f"{FLOW:032x}"]
    assert done.stderr == "Redis is away: running flows are not listed.\n"


def test_a_long_list_comes_page_by_page(here: dict[str, str], redis_url: str) -> None:
    with FlowWriter(redis_url) as one, FlowWriter(redis_url) as other:
        one.start("root", name="first")
        other.start("root", name="second")
        listed = lines_of(spanflow("flows", "--limit", "1", "--json", **here))
        assert len(listed) == 1
        assert {flow["open"] for flow in lines_of(spanflow("flows", "--json", **here))} == {True}


# -- who is watched ----------------------------------------------------------------------------------------------------


def test_a_watch_is_extended_and_may_leave_contents_out(here: dict[str, str]) -> None:
    assert spanflow("monitor", "enable", "7", "--hours", "2", "--metadata-only", **here).returncode == 0
    (before,) = lines_of(spanflow("monitor", "list", "--json", **here))
    done = spanflow("monitor", "extend", "7", "--hours", "0.5", "--reason", "not done yet", **here)
    assert re.fullmatch(r"Watched until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: 7\n", done.stdout), done.stderr
    (after,) = lines_of(spanflow("monitor", "list", "--json", **here))
    assert (before["metadata_only"], after["metadata_only"]) == (True, True)
    assert datetime.fromisoformat(after["expires_at"]) - datetime.fromisoformat(before["expires_at"]) == timedelta(
        minutes=30
    )
    assert after["extensions"] == [IsPartialDict(reason="not done yet")]
    assert "(without contents)" in spanflow("monitor", "list", **here).stdout
    done = spanflow("monitor", "extend", "8", **here)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Not watched" in done.stderr


def test_users_are_watched_listed_and_not_watched_any_more(here: dict[str, str]) -> None:
    done = spanflow("monitor", "enable", "7", "neo", "--hours", "2", "--reason", "ticket 4711", **here)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"Watched until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: 7, neo\n", done.stdout)
    listed = spanflow("monitor", "list", **here).stdout
    assert re.match(r"USER +NAME +ENDS +BY +REASON\n", listed)
    assert re.search(r"^7 +.*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +operator +ticket 4711$", listed, re.M)
    assert [user["user_id"] for user in lines_of(spanflow("monitor", "list", "--json", **here))] == [7, "neo"]
    done = spanflow("monitor", "disable", "neo", "nemo", **here)
    assert (done.stdout, done.stderr) == ("No longer watched: neo\n", "Was not watched: nemo\n")
    answer = lines_of(spanflow("monitor", "disable", "7", "--json", **here))
    assert answer == [{"status": "disabled", "user_ids": [7], "live": True}]
    assert spanflow("monitor", "list", **here).stderr == "No user is watched.\n"


# -- what runs ---------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_per_step(here: dict[str, str], viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7, 8]})
    with running("tail", "--user", "7", "--user", "8", settings=here) as tail, FlowWriter(redis_url) as flow:
        flow.start("root", name="POST /ask")
        flow.step("auth", "root", "auth_check")
        assert re.search(
            rf"\d\d:\d\d:\d\d\.\d{{3}}  ✓ user 7  {flow.flow_id[:8]}  auth_check  1.0 ms\n", tail.wait_for("auth_check")
        )
        with FlowWriter(redis_url, "8") as other:
            other.start("root", name="GET /other")
            other.start("block", "root", "block_check", name="block_check")
            other.end(
                "block",
                "root",
                "block_check",
                name="block_check",
                outcome="denied",
                attributes={"flow.denied.reason": "no credit"},
            )
            assert "denied: no credit\n" in tail.wait_for("no credit\n")
            other.end("root", name="GET /other", outcome="denied")
            assert "⊘ user 8" in tail.wait_for("GET /other")
        assert tail.end(signal.SIGINT) == 130
        assert "Traceback" not in tail.said and "\x1b" not in tail.said


def test_a_terminal_gets_a_tree_that_grows(here: dict[str, str], viewer: RunningViewer, redis_url: str) -> None:
    viewer.post("/api/v1/monitoring/enable/7")
    with in_a_terminal("tail", "--user", "7", settings=here) as tail, FlowWriter(redis_url) as flow:
        flow.start("root", name="POST /ask")
        flow.start("tool", "root", "tool_call", name="\x1b]0;owned\x07call")
        said = tail.wait_for("�]0;owned�call")
        assert "└─ \x1b[34m●\x1b[0m" in said
        assert "\x1b]0;" not in said and "\x07" not in said
        flow.end("tool", "root", "tool_call", name="call")
        assert re.search(r"\x1b\[\d+F\x1b\[J", tail.wait_for("└─ \x1b[32m✓"))
        flow.end("root", name="POST /ask")
        flow.close()
        tail.wait_for("\x1b[32m✓\x1b[0m POST /ask")
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(20) == 130


def test_it_goes_on_without_a_gap_over_restarts_of_the_viewer(redis_url: str, postgres_dsn: str) -> None:
    port = free_port()
    servers = {"SPANFLOW_REDIS_URL": redis_url, "SPANFLOW_POSTGRES_DSN": postgres_dsn, "SPANFLOW_VIEWER_TOKEN": TOKEN}
    there = {"SPANFLOW_URL": f"http://127.0.0.1:{port}", "SPANFLOW_TOKEN": TOKEN}
    serve = ("serve", "--no-link", "--port", str(port))
    with FlowWriter(redis_url) as flow:
        flow.start("root")
        with running(*serve, settings=servers) as first:
            first.wait_for("Application startup complete")
            tail = running("tail", "--user", "7", "--reason", "Störung", "--json", settings=there)
            with tail as following:
                following.wait_for('"root"')
                for number, stop in enumerate((signal.SIGKILL, signal.SIGTERM)):
                    if number == 0:
                        first.end(stop)
                    flow.step(f"missed-{number}", "root", "tool_call")
                    with running(*serve, settings=servers) as next_one:
                        following.wait_for(f'"missed-{number}"', within=30)
                        flow.step(f"live-{number}", "root", "tool_call")
                        following.wait_for(f'"live-{number}"', within=30)
                        next_one.end(stop)
                following.end(signal.SIGINT)
    messages = [json.loads(line) for line in following.said.splitlines() if line.startswith("{")]
    seen = [
        (event["phase"], event["node_id"])
        for message in messages
        if message["type"] == "events"
        for event in message["events"]
    ]
    steps = [f"{kind}-{number}" for number in (0, 1) for kind in ("missed", "live")]
    assert seen == [("start", "root"), *((phase, step) for step in steps for phase in ("start", "end"))]
    assert "The line broke" in following.said
    reasons = query(postgres_dsn, "SELECT DISTINCT reason FROM omni2.audit_log WHERE action LIKE 'live%'")
    assert reasons == [{"reason": "Störung"}]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("flows",), ("show", "a" * 32), ("monitor", "list"), ("tail", "--user", "7", "--reason", "a test")]
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], here: dict[str, str]) -> None:
    stranger = spanflow(*arguments, **{**here, "SPANFLOW_TOKEN": ""})
    assert stranger.returncode == 1
    assert re.fullmatch(r"spanflow: not signed in to http://\S+: it needs an access token\. Set .*\n", stranger.stderr)
    forged = spanflow(*arguments, **{**here, "SPANFLOW_TOKEN": "x" * 20})
    assert "its token is not accepted" in forged.stderr
    away = spanflow(*arguments, **{**here, "SPANFLOW_URL": f"http://127.0.0.1:{free_port()}"})
    assert away.returncode == 1
    assert re.match(r"spanflow: the viewer at http://\S+ cannot be reached: Connection refused\. Is it ", away.stderr)
    odd = spanflow(*arguments, **{**here, "SPANFLOW_URL": "viewer.example.com"})
    assert "is not the address of a viewer" in odd.stderr
    assert not any("Traceback" in done.stderr for done in (stranger, forged, away, odd))


def test_an_id_that_is_not_there_is_said(here: dict[str, str]) -> None:
    done = spanflow("show", "f" * 32, **here)
    assert (done.returncode, done.stderr) == (1, "spanflow: There is no flow with this id.\n")
    assert spanflow("show", "a/b", **here).returncode == 2
    assert spanflow("tail", **here).returncode == 2
    assert spanflow("monitor", "enable", **here).returncode == 2
    refused = spanflow("tail", "--user", "7", **here)
    assert refused.returncode == 1
    assert refused.stderr == (
        "spanflow: This user is not watched: say why you look. "
        "Give one with --reason, such as --reason 'ticket 4711'.\n"
    )


def test_the_token_may_stand_in_a_file_and_never_on_the_command_line(
    here: dict[str, str], viewer: RunningViewer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    without = {**here, "SPANFLOW_TOKEN": ""}
    assert spanflow("monitor", "list", **without, SPANFLOW_TOKEN_FILE=str(file)).returncode == 0
    named = spanflow("monitor", "list", "--url", viewer.origin, "--token-file", str(file), SPANFLOW_URL="")
    assert named.returncode == 0
    missing = spanflow("monitor", "list", **without, SPANFLOW_TOKEN_FILE=str(tmp_path / "nothing"))
    assert re.search(r"the token cannot be read from .*: No such file or directory", missing.stderr)
    file.write_text("two words\nand lines")
    assert "must hold one access token" in spanflow("monitor", "list", "--token-file", str(file), **without).stderr
    assert spanflow("monitor", "list", "--token", TOKEN, **without).returncode == 2


def test_something_else_that_answers_is_no_viewer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        asking = subprocess.Popen(
            [*COMMAND, "monitor", "list"],
            env=environment(SPANFLOW_URL=f"http://127.0.0.1:{port}"),
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            _, said = asking.communicate(timeout=20)
    assert re.fullmatch(r"spanflow: what answers at http://\S+ is no viewer\.\n", said)


class in_a_terminal:
    """A command whose output goes to a terminal of 30 lines."""

    def __init__(self, *arguments: str, settings: dict[str, str]) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        variables = {**environment(**settings), "TERM": "xterm"}
        for name in ("NO_COLOR", "COLUMNS"):
            variables.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spanflow.cli.main", *arguments],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._screen = os.fdopen(master, "rb", buffering=0)
        self._process.stdout = self._screen

    def __enter__(self) -> Running:
        return Running(self._process)

    def __exit__(self, *problem: object) -> None:
        self._process.kill()
        self._process.wait()
        self._screen.close()
