"""What was exported comes in again, with nothing lost on the way and no secret let in."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson

from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.otlp.imported import read_import
from tests.support.flow_parts import MS, part, span
from tests.support.people import PEOPLE, ask, flow_id, what_two_users_did, write_tokens
from tests.support.poll import eventually
from tests.support.query import script, value
from tests.support.spanflow_command import spanflow
from tests.support.viewer_server import TOKEN, RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store

IMPORT = "/api/v1/import"


def a_rich_flow() -> list[FlowPart]:
    """Two processes, values that JSON cannot carry, links, events of spans, a denial."""
    first = [
        span(
            1,
            name="POST /ask",
            attributes={"big": 2**60, "raw": b"\x00\xff", "whole": 2.0, "list": [1, 2.5, "x"]},
            links=[{"trace_id": "f" * 32, "span_id": "e" * 16, "attributes": {"why": "turn"}}],
            logs=[{"name": "exception", "time_ns": "1767614400001000000", "attributes": {"exception.type": "E"}}],
            end_ns=1767614400_000000000 + 90 * MS,
        ),
        span(2, 1, event_type="security_check", outcome="denied", status="error", status_message="no"),
    ]
    identity = Identity(user_id="7", session_id="s-7", conversation_id="c-7", source="web")
    return [
        part(9, first, identity=identity, cut_spans=3),
        part(
            9, [span(3, 2, event_type="tool_call", name="tools/call x")], process="p2", identity=identity, joined=True
        ),
    ]


def exported(viewer: RunningViewer, **params: str) -> list[dict[str, Any]]:
    response = viewer.http.get("/api/v1/export", params={"format": "jsonl", **params})
    assert response.status_code == 200
    flows = [json.loads(line) for line in response.text.splitlines()]
    for flow in flows:
        # When and why which part of it was archived says the archive itself.
        for process in flow["flow_data"]["processes"].values():
            del process["parts"]
    return flows


def forget(dsn: str) -> None:
    script(dsn, "DELETE FROM omni2.interaction_flows; DELETE FROM omni2.flow_keys")


def test_an_export_comes_in_again_as_it_was(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(*what_two_users_did(), *a_rich_flow())
    before = exported(viewer)
    files = {
        name: viewer.http.get("/api/v1/export", params={"format": name}).content for name in ("jsonl", "json", "otlp")
    }
    assert len(before) == 6
    for name in ("jsonl", "json"):
        forget(postgres_dsn)
        body = gzip.compress(files[name])
        answer = viewer.http.post(IMPORT, content=body, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["flows"] == 6
        assert eventually(lambda: len(exported(viewer)) == 6, within=20)
        assert exported(viewer) == before, name
    # Once more: it is merged with what is there.
    viewer.http.post(IMPORT, content=files["jsonl"])
    forget(postgres_dsn)
    viewer.http.post(IMPORT, content=files["jsonl"])
    assert eventually(lambda: len(exported(viewer)) == 6, within=20)
    assert exported(viewer) == before
    actions = value(postgres_dsn, "SELECT count(*) FROM omni2.audit_log WHERE action = 'flows_imported'")
    assert actions == 4 * 2


def test_an_export_as_otlp_comes_in_again_with_all_its_spans(
    viewer: RunningViewer, store: Store, postgres_dsn: str
) -> None:
    store(*a_rich_flow())
    first = viewer.http.get("/api/v1/export", params={"format": "otlp"}).content
    forget(postgres_dsn)
    answer = viewer.http.post(IMPORT, content=first)
    assert (answer.status_code, answer.json()["otlp_requests"]) == (200, 1)

    def again() -> Any:
        return viewer.http.get("/api/v1/export", params={"format": "otlp"}).content

    assert eventually(again, within=20)
    assert spans_in(again()) == spans_in(first)


def spans_in(lines: bytes) -> list[Any]:
    groups = [group for line in lines.splitlines() for group in json.loads(line)["resourceSpans"]]
    spans = [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]
    for each in spans:
        each["attributes"] = sorted(each.get("attributes", []), key=lambda pair: str(pair["key"]))
    return sorted(spans, key=lambda each: str(each["spanId"]))


def test_secrets_of_a_file_are_redacted() -> None:
    password = "password=hunter2hunter2"
    events = [
        span(
            1,
            name=f"GET /?{password}",
            status_message=f"refused {password}",
            attributes={"api_key": "sk-1234567890abcdef", "gen_ai.prompt": "what they said"},
            logs=[{"name": "log", "time_ns": "1", "attributes": {"api_key": "sk-1234567890abcdef"}}],
        )
    ]
    document = flow_data.build(
        flow_id(1), events, processes={"p1": {"resource": {"attributes": {"token": "abc12345"}}}}
    )
    read = read_import(orjson.dumps({"flow_data": document}), Redactor(RedactionPolicy()))
    text = b"".join([*read.parts[0].entries, read.parts[0].process]).decode()
    for secret in ("hunter2", "sk-1234567890", "what they said", "abc12345"):
        assert secret not in text
    assert read.parts[0].redacted >= 5


def test_what_is_no_file_of_flows_is_refused_as_a_whole(viewer: RunningViewer, postgres_dsn: str) -> None:
    good = orjson.dumps({"flow_data": flow_data.build(flow_id(1), [span(1)])})
    for body, why in (
        (b"", "no JSON"),
        (b"{}", "holds no flow"),
        (b"[1]", "holds no flow"),
        (good + b"\n{broken", "line 2 is no JSON"),
        (good + b'\n{"flow_data": {"flow_id": "x", "events": []}}', "line 2 holds no flow"),
        (good.replace(flow_id(1).encode(), b"0" * 32), "holds no flow"),
        (b'{"flows": []}', "holds no flows"),
    ):
        refused = viewer.http.post(IMPORT, content=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "unreadable_body"), body
        assert why in refused.json()["detail"], refused.text
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows") == 0


def test_only_who_may_send_spans_may_import(make_viewer: MakeViewer, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", *PEOPLE)))
    body = orjson.dumps({"flow_data": flow_data.build(flow_id(1), [span(1)])})
    for person in PEOPLE:
        expected = 200 if person.name == "admin" else 403
        assert ask(viewer, person, "POST", IMPORT, content=body).status_code == expected, person.name


def test_what_was_erased_does_not_come_in_again(viewer: RunningViewer, store: Store, postgres_dsn: str) -> None:
    store(*what_two_users_did())
    file = viewer.http.get("/api/v1/export", params={"format": "jsonl"}).content
    viewer.http.delete("/api/v1/users/7/data", headers={"X-Spanflow-Reason": "request 1"})
    viewer.http.post(IMPORT, content=file)
    script(postgres_dsn, "DELETE FROM omni2.interaction_flows WHERE user_id = '8'; DELETE FROM omni2.flow_keys")
    viewer.http.post(IMPORT, content=file)
    theirs = "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '8'"
    assert eventually(lambda: value(postgres_dsn, theirs) == 2, within=20)
    assert value(postgres_dsn, "SELECT count(*) FROM omni2.interaction_flows WHERE user_id = '7'") == 0


def test_from_the_terminal(viewer: RunningViewer, store: Store, postgres_dsn: str, tmp_path: Path) -> None:
    there = {"SPANFLOW_URL": viewer.origin, "SPANFLOW_TOKEN": TOKEN}
    store(*what_two_users_did())
    before = exported(viewer)
    for name in ("jsonl", "json"):
        file = tmp_path / f"flows.{name}"
        assert spanflow("export", "--format", name, "-o", str(file), **there).returncode == 0
        forget(postgres_dsn)
        done = spanflow("import", str(file), "--json", **there)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["flows"] == 5
        assert eventually(lambda: len(exported(viewer)) == 5, within=20)
        assert exported(viewer) == before
    assert spanflow("import", str(tmp_path / "none"), **there).returncode == 1
    played = spanflow("play", "--flow", flow_id(1), "--speed", "16", **there)
    assert (played.returncode, "auth of 7" in played.stdout) == (0, True), played.stderr
    messages = spanflow("play", "--user", "7", "--since", "2026-01-01", "--speed", "16", "--json", **there)
    kinds = [json.loads(line)["type"] for line in messages.stdout.splitlines()]
    assert (kinds[0], kinds[-1], set(kinds)) == ("flow", "flow", {"flow", "events"})
    assert spanflow("play", "--flow", flow_id(1), "--speed", "99", **there).returncode == 2
