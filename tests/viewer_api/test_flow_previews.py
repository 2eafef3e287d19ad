"""First words of what was asked and answered, for the rows of a list."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from inline_snapshot import snapshot

from spanflow.span_processors.activity import Activity
from spanflow.viewer_api.flows.message_texts import MAX_PREVIEW, answered_in, asked_in, preview
from tests.support.flow_parts import MS, NOON, part, span
from tests.support.people import VIEWER_7, ask, write_tokens
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeFlow, MakeViewer, Store, of

SECRET = "between you and me"


def said(kind: str, text: str, after_ms: int, user_id: str = "7") -> bytes:
    return Activity(kind, NOON + after_ms * MS, {"message": text}, user_id=user_id, conversation_id="c").to_bytes()


def previews(viewer: RunningViewer, *numbers: int | str) -> dict[str, Any]:
    ids = [number if isinstance(number, str) else f"{number:032x}" for number in numbers]
    answer = viewer.get("/api/v1/flows/previews", params={"flow_id": ids})
    return {each["flow_id"].lstrip("0"): (each["question"], each["answer"]) for each in answer["previews"]}


def test_they_are_the_first_question_and_the_last_answer(viewer: RunningViewer, store: Store) -> None:
    talk = (
        said("user_message", "What is\n the status?", 1),
        said("assistant_response", "Let me see.", 2),
        said("user_message", "And now?", 3),
        said("assistant_response", "It runs.", 4),
    )
    model = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "From the span"}]}]}
    store(
        part(1, [span(1)], activities=talk),
        part(2, [span(2), span(3, 2, event_type="llm_thinking", attributes=model)]),
        part(4, [span(4)]),
        part(5, [span(5)], activities=(said("user_message", "x" * 10_000, 1),)),
    )
    assert previews(viewer, 1, 2, 4, 9) == snapshot(
        {
            "1": ("What is the status?", "It runs."),
            "2": ("From the span", None),
            "4": (None, None),
        }
    )
    ((long, _),) = previews(viewer, 5).values()
    assert long == "x" * (MAX_PREVIEW - 1) + "…"
    assert previews(viewer) == {}
    too_many = viewer.http.get("/api/v1/flows/previews", params={"flow_id": [f"{n:032x}" for n in range(51)]})
    assert (too_many.status_code, too_many.json()["code"]) == (422, "invalid_request")


def test_a_running_flow_has_one_unless_its_user_is_watched_without_contents(
    viewer: RunningViewer, make_flow: MakeFlow
) -> None:
    flow = make_flow("7")
    flow.start("root", name="POST /ask", attributes={"flow.data.prompt": SECRET})
    assert previews(viewer, flow.flow_id) == {flow.flow_id.lstrip("0"): (SECRET, None)}
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": True, "reason": "r"})
    assert previews(viewer, flow.flow_id) == {flow.flow_id.lstrip("0"): (None, None)}


def test_they_are_shown_to_who_may_see_the_user_and_are_in_the_audit_log(
    make_viewer: MakeViewer, store: Store, tmp_path: Path
) -> None:
    viewer = make_viewer(viewer_tokens_file=write_tokens(tmp_path / "tokens", VIEWER_7))
    store(
        part(1, [span(1)], activities=(said("user_message", "mine", 1),)),
        part(2, [span(2)], activities=(said("user_message", SECRET, 1, "8"),), **of("s8", "8")),
    )
    both = f"/api/v1/flows/previews?flow_id={1:032x}&flow_id={2:032x}"
    answer = ask(viewer, VIEWER_7, "GET", both).json()
    assert answer == {"previews": [{"flow_id": f"{1:032x}", "question": "mine", "answer": None}]}
    everything = viewer.get(both)
    assert [each["question"] for each in everything["previews"]] == ["mine", SECRET]
    seen = viewer.get("/api/v1/audit?action=flows_previewed")["entries"]
    assert sorted((each["role"], each["user_id"]) for each in seen) == [("admin", 7), ("admin", 8), ("viewer", 7)]
    denied = viewer.get("/api/v1/audit?action=denied")["entries"]
    assert [(each["target"], each["detail"]["asked"]) for each in denied] == [(f"{2:032x}", "flows_previewed")]


def test_flows_without_a_step_are_left_out_of_a_list_unless_they_failed(
    viewer: RunningViewer, store: Store, make_flow: MakeFlow
) -> None:
    store(
        part(1, [span(1, name="GET /healthz")]),
        part(2, [span(2, name="GET /healthz", status="error", outcome="error")]),
        part(3, [span(3), span(4, 3, event_type="auth_check")]),
        # A WebSocket that somebody signed in to: what is said on it are flows of their own.
        part(4, [span(5, name="WS /chat"), span(6, 5, event_type="auth_check")]),
        part(5, [span(7, name="WS /chat"), span(8, 7, event_type="auth_check", outcome="denied")]),
        part(
            6,
            [
                span(9, name="WS /chat message"),
                span(10, 9, event_type="auth_check"),
                span(11, 9, event_type="tool_call"),
            ],
        ),
        part(7, [span(12, name="WS /chat message"), span(13, 12, event_type="auth_check")]),
    )
    connection, request, message = make_flow("7"), make_flow("7"), make_flow("7")
    connection.start("root", name="WS /api/v1/chat")
    connection.step("gate", "root", "auth_check")
    request.start("root", name="POST /ask")
    request.start("step", "root", "auth_check")
    message.start("root", name="WS /api/v1/chat message")
    message.step("gate", "root", "auth_check")

    def listed(query: str) -> set[str]:
        return {flow["flow_id"].lstrip("0") for flow in viewer.get(f"/api/v1/flows{query}")["flows"]}

    asked = {flow.flow_id.lstrip("0") for flow in (request, message)}
    running = {connection.flow_id.lstrip("0")} | asked
    assert listed("") == listed("?stepless=show") == {"1", "2", "3", "4", "5", "6", "7"} | running
    assert listed("?stepless=hide") == {"2", "3", "5", "6", "7"} | asked
    assert viewer.get("/api/v1/flows?stepless=hide&count=exact")["count"] == {"value": 5, "kind": "exact"}


#: The attributes of a span, and what it says.
RECORDED: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"flow.data.prompt": " Why? "}, "Why?", None),
    ({"flow.data.answer": "So."}, None, "So."),
    ({"input.value": "[not JSON", "output.value": '{"a": 1}'}, "[not JSON", None),
    ({"gen_ai.input.messages": orjson.dumps([{"role": "user", "content": "As JSON"}]).decode()}, "As JSON", None),
    (
        {
            "gen_ai.input.messages": [
                {"role": "system", "content": "Be nice"},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "no"},
                {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image"}, 7]},
                {"role": "tool", "content": "result"},
            ],
            "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "done"}]}],
        },
        "second",
        "done",
    ),
    ({"gen_ai.input.messages": 5, "gen_ai.output.messages": [None, "x", {"role": "assistant"}]}, None, None),
    ({}, None, None),
]


@pytest.mark.parametrize(("attributes", "question", "answer"), RECORDED)
def test_spans_say_it_in_many_ways(attributes: dict[str, Any], question: str | None, answer: str | None) -> None:
    entries = [{"attributes": None}, "no event", {"attributes": attributes}]
    assert (asked_in(entries), answered_in(entries)) == (question, answer)


@pytest.mark.parametrize(("text", "shown"), [(None, None), ("", None), (" \n ", None), ("a\n\tb", "a b")])
def test_a_preview_is_one_line(text: str | None, shown: str | None) -> None:
    assert preview(text) == shown
