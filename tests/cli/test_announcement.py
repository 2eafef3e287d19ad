"""What `spanflow run` says: what is traced, where it goes, where to look, and why a gateway cannot be traced."""

import json
import os
import sys
import venv
from pathlib import Path
from typing import Any

import httpx
import pytest

from spanflow.cli.announcement import announcement, viewer_address
from spanflow.cli.python_program import PythonProgram, python_program
from spanflow.instrumentation.first_flow import FIRST_FLOW, FirstFlow
from spanflow.span_processors.settings import Settings
from tests.support.gateway_process import gateway_process
from tests.support.poll import eventually
from tests.support.query import query
from tests.support.spanflow_command import spanflow

HERE = Path(sys.executable)
APP = "tests.instrumentation.gateways.unchanged:app"


def lines(viewer: str = "", **changes: Any) -> list[str]:
    return [*announcement("/usr/bin/gateway", PythonProgram(HERE), Settings(**changes), viewer)]


def test_it_says_in_three_lines_what_is_traced_and_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    what, where, look = lines(
        redis_url="rediss://joe:secret@redis.example:6380/2",
        postgres_dsn="postgresql://ann:secret@db/flows?sslmode=require",
    )
    assert what.startswith("traces gateway: ") and "fastapi" in what
    assert where == "flows go to Redis redis.example:6380/2, Postgres db/flows"
    assert look == "look at them with `spanflow serve`; the first one is said here"


def test_what_is_switched_off_and_what_is_exported_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:4318")
    assert lines(mirror_enabled=False)[1].endswith(", OTLP collector:4318")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = lines(mirror_enabled=False, archive_enabled=False)[1]
    assert off == "flows go nowhere: Redis and Postgres are switched off"
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*")
    assert lines()[0] == "traces gateway: your own spans and checkpoints"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/redis.sock?db=1", "Redis /run/redis.sock by a socket"),
        ("redis://[::1]:6379/0", "Redis [::1]:6379/0"),
        ("redis://h:port", "Redis (an address that cannot be read)"),
    ],
)
def test_addresses_have_no_secrets_in_them(url: str, expected: str) -> None:
    assert lines(redis_url=url, archive_enabled=False)[1] == f"flows go to {expected}"


def test_the_viewer_is_named_where_it_is_known(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    assert viewer_address({"SPANFLOW_VIEWER_PUBLIC_URL": "https://flows.example/"}, settings) == "https://flows.example"
    assert viewer_address({"SPANFLOW_URL": "flows.example"}, settings) == ""
    assert lines("https://flows.example")[2].startswith("look at them on https://flows.example;")


def test_a_gateway_in_another_environment_says_what_to_install_and_runs(tmp_path: Path) -> None:
    other = tmp_path / "other"
    venv.create(other, symlinks=True)
    program = other / "bin" / "gateway"
    program.write_text(f"#!{other}/bin/python\nimport os; print('serving', os.environ.get('PYTHONPATH'))\n")
    program.chmod(0o755)
    done = spanflow("run", "--", str(program), SPANFLOW_DATA_DIR=str(tmp_path), PYTHONPATH="")
    assert (done.returncode, done.stdout) == (0, "serving \n")
    assert done.stderr == (
        f"spanflow: {program} runs untraced: it runs in the environment {other}, where Spanflow is not installed: "
        f"{other}/bin/python -m pip install spanflow\n"
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["-I", "app.py"], "-I"),
        (["-W", "error", "-uE", "app.py"], "-uE"),
        (["-u", "app.py", "-I"], None),
        (["-m", "x", "-S"], None),
    ],
)
def test_an_isolated_python_is_said_to_be_untraced(options: list[str], problem: str | None) -> None:
    found = python_program([sys.executable, *options])
    assert found.interpreter == HERE
    assert (problem is None and not found.problem) or found.problem.startswith(f"{problem} keeps Python")


def test_it_finds_the_python_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{HERE.parent}{os.pathsep}{os.environ['PATH']}")
    heads = {
        f"#!{HERE}\n": HERE,
        "#!/usr/bin/env -S python\n": HERE,
        f"#!/bin/sh\n'''exec' \"{HERE}\" \"$0\" \"$@\"\n' '''\n": HERE,
        "#!/bin/sh\nexec node server.js\n": None,
        "\x7fELF": None,
    }
    for number, (head, expected) in enumerate(heads.items()):
        program = tmp_path / f"gateway{number}"
        program.write_text(head)
        program.chmod(0o755)
        assert python_program([str(program)]).interpreter == expected, head


def test_quiet_says_nothing(tmp_path: Path) -> None:
    done = spanflow("run", "--quiet", "--", sys.executable, "-c", "print(1)", SPANFLOW_DATA_DIR=str(tmp_path))
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_first_flow_is_said_once_with_its_link(redis_url: str, postgres_dsn: str, tmp_path: Path) -> None:
    settings = {
        "SPANFLOW_REDIS_URL": redis_url,
        "SPANFLOW_POSTGRES_DSN": postgres_dsn,
        "SPANFLOW_DATA_DIR": str(tmp_path / "data"),
        "SPANFLOW_FLOW_GRACE": "0.05",
        "SPANFLOW_VIEWER_PUBLIC_URL": "https://flows.example",
        "TMPDIR": str(tmp_path),
    }
    words = ["spanflow", "run", "--", "uvicorn", APP, "--workers", "2", "--port", "{port}"]
    with gateway_process(words, tmp_path / "log", settings) as gateway:
        for _ in range(6):
            assert httpx.get(f"{gateway.url}/ask").status_code < 500
        said = eventually(lambda: [line for line in gateway.said.splitlines() if "the first flow" in line], within=20)
        eventually(lambda: len(query(postgres_dsn, "SELECT 1 FROM omni2.interaction_flows")) >= 6, within=20)
        assert len([line for line in gateway.said.splitlines() if "the first flow is stored" in line]) == 1
        log = gateway.said
    assert "spanflow: traces uvicorn: " in log and "spanflow: look at them on https://flows.example;" in log
    flow_id = said[-1].rpartition("/")[2]
    assert query(postgres_dsn, "SELECT 1 FROM omni2.interaction_flows WHERE flow_id = $1", flow_id)
    assert not list(tmp_path.glob("spanflow-run-*"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_gateway_that_stores_no_flow_leaves_no_file_behind(workers: str, tmp_path: Path) -> None:
    settings = {"SPANFLOW_DATA_DIR": str(tmp_path / "data"), "TMPDIR": str(tmp_path)}
    words = ["spanflow", "run", "--", "uvicorn", APP, "--workers", workers, "--port", "{port}"]
    with gateway_process(words, tmp_path / "log", settings):
        assert list(tmp_path.glob("spanflow-run-*"))
    assert not list(tmp_path.glob("spanflow-run-*"))


def test_a_program_that_ends_by_itself_leaves_none_either_and_its_children_leave_it_alone(tmp_path: Path) -> None:
    child = "subprocess.run([sys.executable, '-c', ''])"
    program = f"import glob, subprocess, sys; {child}; print(len(glob.glob(sys.argv[1])))"
    there = str(tmp_path / "spanflow-run-*")
    done = spanflow(
        "run", "--", sys.executable, "-c", program, there, SPANFLOW_DATA_DIR=str(tmp_path), TMPDIR=str(tmp_path)
    )
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert not list(tmp_path.glob("spanflow-run-*"))


@pytest.mark.parametrize("value", ["", "{", "[]", '{"mark": "/nowhere"}'])
def test_a_mark_that_cannot_be_read_is_none(value: str) -> None:
    assert FirstFlow.from_environ({FIRST_FLOW: value}) is None
    assert FirstFlow.from_environ({}) is None


def test_a_mark_that_is_gone_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    environ = {FIRST_FLOW: json.dumps({"mark": str(mark), "viewer": ""})}
    one, other = FirstFlow.from_environ(environ), FirstFlow.from_environ(environ)
    assert one is not None and other is not None
    one([])
    for first in (one, other, one):
        first(["f1"])
    assert capsys.readouterr().err == "spanflow: the first flow is stored: spanflow show f1\n"
