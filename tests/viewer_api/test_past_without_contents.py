"""While somebody is watched without contents, what is stored of them is shown without contents as well."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.app import api_routes
from tests.support.flow_parts import NOON, part, span
from tests.support.people import VIEWER_7, WATCHMAN, ask, write_tokens
from tests.support.query import script
from tests.support.viewer_server import RunningViewer
from tests.viewer_api.conftest import MakeViewer, Store, of

SECRET, OF_OTHERS = "between-you-and-me", "between-other-people"
FLOW, OTHER, LARGE = f"{1:032x}", f"{2:032x}", f"{3:032x}"
ACTIVITY = "5e6bb1b4-0a4b-4cf5-9d6b-000000000001"
#: One day around noon.
DAY = "since=2026-01-05&until=2026-01-06"
JAEGER = f"start={(NOON - 10**12) // 1000}&end={(NOON + 10**12) // 1000}"
FORMATS = ("json", "jsonl", "otlp", "jaeger", "chrome", "csv", "markdown", "html")
#: Where contents stand as long as nobody minds.
READ = (
    "flows?user_id=7",
    "flows?q=between",
    f"flows/previews?flow_id={FLOW}",
    f"flows/{FLOW}",
    f"flows/{FLOW}/flat",
    f"flows/{FLOW}/tree",
    f"flows/{LARGE}/flat",
    f"flows/{FLOW}/activities",
    *(f"flows/{FLOW}/export?format={each}" for each in FORMATS if each != "csv"),
    *(f"export?format={each}&user_id=7" for each in ("jsonl", "json")),
    f"playback?flow_id={FLOW}",
    f"playback?user_id=7&{DAY}",
    "monitoring/flows/7",
    "monitoring/flows/session/s-1",
    "flows/user/7/sessions",
    "flows/session/s-1",
    f"users/7?{DAY}",
    "conversations",
    f"conversations?q={SECRET}",
    "conversations/c-1",
    "activities/conversations",
    "activities/conversation/c-1",
    "activities/user/7",
    f"activities/{ACTIVITY}/details",
)
LEGACY = (
    "legacy/api/v1/monitoring/flows/7",
    "legacy/api/v1/activities/conversations",
    "legacy/api/v1/flows/session/s-1",
)
TRACES = (f"api/traces/{FLOW}", f"api/traces?service=gateway&{JAEGER}")
_NOON_S = NOON // 1_000_000_000
_TEMPO = f"start={_NOON_S - 60}&end={_NOON_S + 60}"
TEMPO = (
    f"tempo/api/traces/{FLOW}",
    f"tempo/api/v2/traces/{FLOW}",
    f"tempo/api/search?q=%7Bspan.flow.data.note!=nil%7D&limit=50&spss=50&{_TEMPO}",
    f"tempo/api/v2/search/tag/span.flow.data.note/values?{_TEMPO}",
)
EVERYWHERE = (*(f"api/v1/{path}" for path in READ), *LEGACY, *TRACES, *TEMPO)


@pytest.fixture
def past(store: Store) -> None:
    """What users 7 and 8 did and said, and a large flow of user 7."""

    def said(text: str, user: str, flow: int) -> FlowPart:
        words = {"flow.data.note": text, "flow.data.mcp": "qa", "gen_ai.usage.input_tokens": 5}
        failed: Any = {"outcome": "error", "status": "error", "status_message": text}
        step = span(2, 1, event_type="tool_call", name="list", attributes=words, **failed)
        whose: Any = {"session_id": f"s-{flow}", "user_id": user, "conversation_id": f"c-{flow}"}
        message = {"message": text, "model": "m-1"}
        activity = Activity("user_message", NOON, message, activity_id=ACTIVITY[:-1] + str(flow), **whose)
        return part(
            flow,
            [span(1, name="POST /ask"), step],
            activities=(activity.to_bytes(),),
            identity=Identity(source="web", **whose),
        )

    many = [span(1), *(span(number, 1, attributes={"flow.data.note": SECRET}) for number in range(2, 1200))]
    store(said(SECRET, "7", 1), said(OF_OTHERS, "8", 2), part(3, many, **of("s-3")))


def watch(viewer: RunningViewer, *, without: bool = True) -> None:
    viewer.post("/api/v1/monitoring/enable", {"user_ids": [7], "metadata_only": without, "reason": "r"})


def showing(viewer: RunningViewer, paths: tuple[str, ...] = EVERYWHERE) -> list[str]:
    found = {path: viewer.http.get(f"/{path}") for path in paths}
    assert {path: answer.status_code for path, answer in found.items()} == dict.fromkeys(paths, 200)
    return [path for path, answer in found.items() if SECRET in answer.text]


def test_what_was_said_is_shown_nowhere_while_they_are_watched_so(viewer: RunningViewer, past: None) -> None:
    assert showing(viewer) == list(EVERYWHERE)
    watch(viewer)
    assert showing(viewer) == []
    for path in ("conversations", "activities/conversations", "flows", f"flows/{OTHER}"):
        assert OF_OTHERS in viewer.http.get(f"/api/v1/{path}").text
    viewer.post("/api/v1/monitoring/disable/7")
    assert showing(viewer) == list(EVERYWHERE)


def test_no_route_of_the_api_is_a_way_around_it(viewer: RunningViewer, past: None) -> None:
    watch(viewer)
    ids = {"flow_id": FLOW, "trace_id": FLOW, "activity_id": ACTIVITY, "user_id": "7"}
    ids |= {"session_id": "s-1", "conversation_id": "c-1"}
    endless = {"/api/v1/live"}
    paths = sorted(
        re.sub(r"\{(\w+)[^}]*\}", lambda name: ids.get(name[1], "1"), route.path)
        for route in api_routes()
        if "GET" in (route.methods or ()) and route.path not in endless
    )
    assert len(paths) > 40
    assert [path for path in paths if SECRET in viewer.http.get(path).text] == []


def test_what_happened_is_still_shown(viewer: RunningViewer, past: None) -> None:
    watch(viewer)
    shown = viewer.get(f"/api/v1/flows/{FLOW}")
    assert shown["contents"] == "withheld"
    (_, step) = shown["flow_data"]["events"]
    assert (step["name"], step["outcome"]) == ("list", "error")
    assert step["attributes"] == {"flow.data.mcp": "qa", "gen_ai.usage.input_tokens": 5}
    (activity,) = viewer.get(f"/api/v1/flows/{FLOW}/activities")["activities"]
    assert (activity["activity_type"], activity["activity_data"]) == ("user_message", {"model": "m-1"})
    (listed,) = (each for each in viewer.get("/api/v1/flows?user_id=7")["flows"] if each["flow_id"] == FLOW)
    assert (listed["outcome"], listed["tokens_input"], listed["error_message"]) == ("error", 5, None)


def test_no_search_tells_what_is_in_it(viewer: RunningViewer, past: None) -> None:
    def found(search: str) -> list[Any]:
        answers = [viewer.get(f"/api/v1/{each}?q={search}&count=exact") for each in ("flows", "conversations")]
        counts = [answer["count"]["value"] for answer in answers]
        assert counts == [len(answers[0]["flows"]), len(answers[1]["conversations"])]
        return counts

    assert found(SECRET) == [2, 1]
    watch(viewer)
    assert found(SECRET) == [0, 0]
    watch(viewer, without=False)
    assert found(SECRET) == [2, 1]


def test_their_own_past_is_not_kept_from_them(make_viewer: MakeViewer, past: None, tmp_path: Path) -> None:
    viewer = make_viewer(viewer_tokens_file=str(write_tokens(tmp_path / "tokens.toml", VIEWER_7, WATCHMAN)))
    watch(viewer)
    for path in (f"flows/{FLOW}", f"flows/{FLOW}/activities", "flows?q=between", "conversations/c-1"):
        assert SECRET in ask(viewer, VIEWER_7, "GET", f"/api/v1/{path}").text, path
    assert SECRET not in ask(viewer, WATCHMAN, "GET", f"/api/v1/flows/{FLOW}").text


def test_flows_of_older_gateways_are_covered(viewer: RunningViewer, postgres_dsn: str) -> None:
    event = {"node_id": "n-1", "event_type": "tool_call", "timestamp": NOON / 1e9, "mcp": "qa", "note": SECRET}
    document = orjson.dumps({"events": [event]}).decode()
    script(
        postgres_dsn,
        "CREATE TABLE IF NOT EXISTS omni2.interaction_flows_w20260105 PARTITION OF omni2.interaction_flows "
        "FOR VALUES FROM ('2026-01-05 00:00Z') TO ('2026-01-12 00:00Z')",
    )
    script(
        postgres_dsn,
        "INSERT INTO omni2.flow_keys (flow_id, start_key) VALUES ('old', '2026-01-05 12:00Z');"
        "INSERT INTO omni2.interaction_flows (flow_id, start_key, started_at, session_id, user_id, flow_data) "
        f"VALUES ('old', '2026-01-05 12:00Z', '2026-01-05 12:00Z', 's-9', '7', '{document}')",
    )
    paths = (
        "api/v1/flows/old",
        "api/v1/monitoring/flows/7",
        "api/v1/flows/session/s-9",
        "api/v1/flows/old/export?format=json",
    )
    assert len(showing(viewer, paths)) == len(paths)
    watch(viewer)
    assert showing(viewer, paths) == []
    (row,) = viewer.get("/api/v1/monitoring/flows/7")["flows"]
    assert [(each["event_type"], each["mcp"]) for each in row["flow_data"]["events"]] == [("tool_call", "qa")]
