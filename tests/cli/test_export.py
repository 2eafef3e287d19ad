"""`spanflow export` and `spanflow show --file` against a real viewer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest
from inline_snapshot import snapshot

from spanflow.cli.commands.export import to_the_end
from spanflow.cli.problem import Problem
from spanflow.span_processors.identity import Identity
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.query import script
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, running_viewer

FLOW = f"{1:032x}"
TOOL: dict[str, Any] = {
    "event_type": "tool_call",
    "name": "list",
    "attributes": {"gen_ai.operation.name": "execute_tool"},
}


@pytest.fixture
def here(postgres_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    script(
        postgres_dsn,
        "CREATE TABLE omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        for flow in range(1, 6):
            start = NOON + flow * 1000 * MS
            spans = [
                span(1, name="POST /ask", start_ns=start, end_ns=start + 50 * MS),
                span(2, 1, start_ns=start, end_ns=start + 40 * MS, **TOOL),
            ]
            deliver(archives.make(), part(flow, spans))
    with running_viewer(postgres_dsn, redis_url, tmp_path / "viewer", flow_retention_days=36500) as viewer:
        yield {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN, "TZ": "UTC"}


def test_a_file_that_broke_off_is_gone_on_with(here: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "flows.jsonl"
    done = spanflow("export", "-o", str(file), "--filter", "user_id=7", **here)
    assert done.returncode == 0, done.stderr
    assert "bytes written" in done.stderr
    whole = file.read_text()
    assert [json.loads(line)["flow_id"] for line in whole.splitlines()] == [f"{n:032x}" for n in range(5, 0, -1)]
    for kept in (0, 10, len(whole) // 2, len(whole) - 1, len(whole)):
        file.write_text(whole[:kept])
        done = spanflow("export", "-o", str(file), "--filter", "user_id=7", "--resume", **here)
        assert done.returncode == 0, done.stderr
        assert file.read_text() == whole, kept


@pytest.mark.parametrize(("form", "resumable"), [("jsonl", True), ("csv", False)])
def test_an_export_that_breaks_off_fails_and_says_how_to_go_on(tmp_path: Path, form: str, resumable: bool) -> None:
    class Breaks(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhalf\n\r\n40\r\n")
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None: ...

    file = tmp_path / "flows"
    with HTTPServer(("127.0.0.1", 0), Breaks) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        there = {"SPANFLOW_URL": f"http://127.0.0.1:{server.server_port}", "SPANFLOW_TOKEN": TOKEN}
        done = spanflow("export", "--format", form, "-o", str(file), **there)
        thread.join()
    assert (done.returncode, file.read_text()) == (1, "half\n")
    assert "broke off: what it sent until then is incomplete." in done.stderr
    assert ("The same command with --resume continues it." in done.stderr) is resumable


@pytest.mark.parametrize("form", ["json", "jsonl", "otlp"])
def test_a_file_is_shown_without_a_viewer(here: dict[str, str], tmp_path: Path, form: str) -> None:
    file = tmp_path / "flow"
    assert spanflow("export", "--flow", FLOW, "--format", form, "-o", str(file), **here).returncode == 0
    done = spanflow("show", "--file", str(file), SPANFLOW_URL="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[-5:]] == snapshot(
        [
            "",
            "✓ POST /ask",
            "└─ ✓ tool_call",
            "",
            "◆ these steps make up the duration: shorten one, and the flow is shorter",
        ]
    )


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("policy", "said"), [("off", ["  contents      not recorded, by policy (SPANFLOW_CONTENT=off)"]), ("full", [])]
)
def test_a_file_says_that_contents_were_not_recorded(
    form: str, policy: str, said: list[str], here: dict[str, str], postgres_dsn: str, tmp_path: Path
) -> None:
    flow = part(9, [span(1, event_type="llm_thinking")])
    with archives_in(postgres_dsn, tmp_path / "another gateway") as archives:
        deliver(archives.make(), replace(flow, process=json.dumps({"content": policy}).encode()))
    file = tmp_path / "flow"
    assert spanflow("export", "--flow", f"{9:032x}", "--format", form, "-o", str(file), **here).returncode == 0
    shown = spanflow("show", "--file", str(file)).stdout.splitlines()
    assert [line for line in shown if "contents" in line] == said


def test_what_is_no_file_of_flows_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in ("", "no json", '{"a": 1}', '{"resourceSpans": 3}', '{"flows": [1]}'):
        file.write_text(text)
        done = spanflow("show", "--file", str(file))
        assert (done.returncode, done.stdout) == (1, ""), text
        assert str(file) in done.stderr
    assert spanflow("show", "--file", str(tmp_path / "none")).returncode == 1
    assert spanflow("show").returncode == 2


def test_what_cannot_be_exported_is_said(here: dict[str, str]) -> None:
    for arguments in (("--flow", "{}"), ("--flow", FLOW, "--filter", "q=a"), ("--filter", "user_id"), ("--resume",)):
        assert spanflow("export", *arguments, **here).returncode == 2, arguments
    done = spanflow("export", "--flow", f"{9:032x}", **here)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no flow with this id." in done.stderr


def test_what_is_refused_leaves_no_file_and_an_older_one_as_it_is(here: dict[str, str], tmp_path: Path) -> None:
    new, old = tmp_path / "new.jsonl", tmp_path / "old.jsonl"
    old.write_text("of yesterday")
    for file in (new, old):
        done = spanflow("export", "--filter", "since=soon", "-o", str(file), **here)
        assert done.returncode == 1
        assert "since" in done.stderr
    assert not new.exists()
    assert old.read_text() == "of yesterday"


def test_times_in_filters_are_those_of_the_list_of_flows(here: dict[str, str]) -> None:
    for since, flows in (("2026-01-01", 5), ("36500d", 5), ("3d", 0)):
        done = spanflow("export", "--filter", f"since={since}", **here)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert (done.returncode, len([line for line in lines if "flow_id" in line])) == (0, flows), since
    assert spanflow("diff", "--a", "tool=list", "--both", "since=3d", **here).returncode == 0


def test_steps_as_parquet_in_a_folder_per_day(here: dict[str, str], tmp_path: Path, postgres_dsn: str) -> None:
    next_day = NOON + 86_400_000 * MS
    with archives_in(postgres_dsn, tmp_path / "archive") as archives:
        other = [span(1, start_ns=next_day, attributes={"n": 2**60, "text": "ä\u2028"})]
        deliver(archives.make(), part(9, other, identity=Identity(user_id="8", source="web")))
    folder = tmp_path / "parquet"
    done = spanflow("export", "--format", "parquet", "-o", str(folder), "--json", **here)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr)["steps"] == 11
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert files == ["day=2026-01-05/flows-0.parquet", "day=2026-01-06/flows-0.parquet"]
    rows = pyarrow.parquet.read_table(folder / files[0]).to_pylist()
    assert len(rows) == 10
    (tool,) = [row for row in rows if row["flow_id"] == FLOW and row["name"] == "list"]
    tool |= {name: tool[name].isoformat() for name in ("start", "end")}
    assert tool == snapshot(
        {
            "flow_id": "00000000000000000000000000000001",
            "user_id": "7",
            "session_id": "s1",
            "conversation_id": None,
            "source": "web",
            "flow_outcome": "ok",
            "node_id": "0000000000000002",
            "parent_id": "0000000000000001",
            "name": "list",
            "event_type": "tool_call",
            "kind": "internal",
            "status": "unset",
            "status_message": None,
            "outcome": "ok",
            "process": "p1",
            "scope": None,
            "tool": None,
            "mcp_server": None,
            "model": None,
            "start": "2026-01-05T12:00:01+00:00",
            "end": "2026-01-05T12:00:01.040000+00:00",
            "duration_ns": 40000000,
            "attributes": '{"gen_ai.operation.name": "execute_tool"}',
            "links": None,
            "logs": None,
        }
    )
    (late,) = pyarrow.parquet.read_table(folder / files[1]).to_pylist()
    assert (late["user_id"], json.loads(late["attributes"])) == ("8", {"n": str(2**60), "text": "ä\u2028"})
    # Hive partitions: the day is a column of the whole.
    days = pyarrow.dataset.dataset(folder, partitioning="hive").to_table(columns=["day"]).to_pylist()
    assert {row["day"] for row in days} == {"2026-01-05", "2026-01-06"}
    assert spanflow("export", "--format", "parquet", "-o", str(folder), "--user", "8", **here).returncode == 0
    assert (folder / "day=2026-01-06" / "flows-1.parquet").exists()
    assert spanflow("export", "--format", "parquet", **here).returncode == 2


def test_all_that_is_known_of_a_person_is_written(here: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "person.jsonl"
    asked = ("export", "--user", "7", "--everything", "-o", str(file))
    refused = spanflow(*asked, **here)
    assert (refused.returncode, "--reason" in refused.stderr) == (2, True)
    done = spanflow(*asked, "--reason", "request 4711", **here)
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert kinds[0] == "person" and kinds[-1] == "end" and kinds.count("flow") == 5
    for wrong in (("--flow", FLOW), ("--format", "csv"), ("--filter", "tool=list"), ("--resume",)):
        assert spanflow(*asked, "--reason", "r", *wrong, **here).returncode == 2, wrong
    assert spanflow("export", "--everything", "--reason", "r", **here).returncode == 2


@pytest.mark.parametrize("tail", [b'{"kind":"flow"}\n', b'{"kind":"end","cou', b""])
def test_a_file_of_a_person_that_broke_off_is_told(tail: bytes) -> None:
    with pytest.raises(Problem, match="broke off"):
        list(to_the_end(iter([b'{"kind":"person"}\n', tail])))
    whole = [b'{"kind":"person"}\n', b'{"kind":"end","counts":{}}', b"\n"]
    assert list(to_the_end(iter(whole))) == whole
