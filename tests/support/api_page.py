"""The requests that the pages of the API show, and what must be stored so that they are answered as the pages say."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from spanflow.span_processors.activity import Activity
from spanflow.span_processors.identity import Identity
from spanflow.viewer_api.auth.authenticator import one_time_code
from tests.support.archives import archives_in, deliver
from tests.support.flow_parts import MS, part, span
from tests.support.query import script
from tests.support.viewer_server import TOKEN

_DOCS = Path(__file__).parents[2] / "docs"
#: What holds for every route, and its problems.
PAGE = _DOCS / "api.md"
#: In the order in which their requests are sent.
PAGES = (
    *(
        _DOCS / f"api-{name}.md"
        for name in (
            *("users", "flows", "conversations", "statistics", "alerts", "sharing", "live"),
            "existing-dashboards",
        )
    ),
    PAGE,
)
FLOW = int("0af7651916cd43dd8448eb211c80319c", 16)
#: 2026-03-01 11:00 UTC
ELEVEN = 1_772_362_800_000_000_000
EXAMPLE = re.compile(
    r"```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<body>.*?)```\n(?:```json\n(?P<answer>.*?)```)?", re.S
)


@dataclass(frozen=True)
class Example:
    """One request on a page, and the answer that it shows."""

    method: str
    #: With the query.
    path: str
    body: str
    #: None: an answer without a body.
    answer: Any
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, http: httpx.Client) -> httpx.Response:
        body = self.body.replace("<code>", one_time_code(TOKEN, time.time)).replace("<token>", TOKEN)
        headers = {"Content-Type": "application/json", **self.headers}
        return http.request(self.method, self.path, content=body or None, headers=headers)


def examples() -> list[Example]:
    """In the order of the pages: an example may count on those before it."""
    return [each for page in PAGES for each in examples_of(page.read_text())]


def examples_of(text: str) -> list[Example]:
    return [_example(match) for match in EXAMPLE.finditer(text)]


def _example(match: re.Match[str]) -> Example:
    answer = None if match["answer"] is None else orjson.loads(match["answer"])
    body = match["body"].strip()
    headers = {}
    while (line := re.match(r"([A-Z][A-Za-z-]*): (.*)(?:\n|$)", body)) is not None:
        headers[line[1]] = line[2]
        body = body[line.end() :].strip()
    return Example(match["method"], match["path"], body, answer, headers)


def is_about(match: re.Match[str], example: Example) -> bool:
    return (match["method"], match["path"]) == (example.method, example.path)


def fill(postgres_dsn: str, data_dir: Path) -> None:
    """Store what the pages speak of."""
    script(
        postgres_dsn,
        """
        CREATE TABLE omni2.interaction_flows_w20260223 PARTITION OF omni2.interaction_flows
            FOR VALUES FROM ('2026-02-23 00:00Z') TO ('2026-03-02 00:00Z');
        INSERT INTO omni2.alert_channels (channel_id, name, kind, shown, hidden, created_by, changed_by) VALUES
            ('9a1b2c3d4e5f6071', 'on-call', 'log', '{}', '{}', 'operator', 'operator');
        INSERT INTO omni2.alert_rules (rule_id, definition, created_by, changed_by) VALUES ('5f0c7a1e9b3d2468', '{
            "name": "Tools fail", "condition": {"kind": "error_rate", "alert": 0.2, "warning": 0.1},
            "filters": {"mcp_server": ["qa_mcp"]}, "channels": ["9a1b2c3d4e5f6071"]}', 'operator', 'operator');
        INSERT INTO omni2.alert_states (rule_id, version, memory, flow_ids, checked_at)
        VALUES ('5f0c7a1e9b3d2468', 1, '{
            "phase": "firing", "since": "2026-03-01T11:50:00+00:00", "level": "alert", "announced": true,
            "fired_at": "2026-03-01T11:50:00+00:00", "changes": ["2026-03-01T11:50:00+00:00"], "value": 0.25,
            "threshold": 0.2, "problem": null}', '{0af7651916cd43dd8448eb211c80319c}', '2026-03-01 11:59:50Z');
        WITH fired AS (
            INSERT INTO omni2.alert_events (rule_id, at, kind, level, value, threshold, since, until, flow_ids)
            VALUES ('5f0c7a1e9b3d2468', '2026-03-01 11:50Z', 'firing', 'alert', 0.25, 0.2, '2026-03-01 11:45Z',
                    '2026-03-01 11:50Z', '{0af7651916cd43dd8448eb211c80319c}')
            RETURNING event_id
        )
        INSERT INTO omni2.alert_deliveries
            (delivery_id, event_id, channel_id, created_at, attempts, attempted_at, outcome)
        SELECT 'msg_5f0c7a1e9b3d24685f0c7a1e9b3d2468', event_id, '9a1b2c3d4e5f6071', '2026-03-01 11:50Z', 1,
               '2026-03-01 11:50Z', 'delivered' FROM fired;
        INSERT INTO omni2.share_links (link_id, token_hash, flow_id, user_id, expires_at, owner, created_by, owner_role)
        SELECT link, sha256(token), '0af7651916cd43dd8448eb211c80319c', '7', now() + interval '3 days', 'other/neo/',
               'neo', 'admin'
        FROM (VALUES ('5f0c7a1e9b3d2468', 'Xq1LNWWsG7mNz0ID1M1k5v0aateh0VDSPfuKHgw0aZc'::bytea),
                     ('5f0c7a1e9b3d2469', 'another'::bytea)) AS links (link, token);
        INSERT INTO omni2.flow_notes (note_id, flow_id, user_id, verdict, owner, created_by)
        VALUES ('7c1d2e3f4a5b6c7d', '0af7651916cd43dd8448eb211c80319c', '7', 'good', 'token/operator/', 'operator');
        INSERT INTO omni2.saved_filters (filter_id, name, filter, owner, created_by)
        VALUES ('3e4f5a6b7c8d9e0f', 'Denied', '{"outcome": ["denied"], "range": ["all"]}', 'token/operator/',
                'operator');
        """,
    )
    tool = {"flow.data.mcp": "qa_mcp", "flow.data.tool": "list_snapshots"}
    start = ELEVEN + 250 * MS
    spans = [
        span(1, start_ns=start, end_ns=start + 2000 * MS, name="POST /api/v1/ask/stream"),
        span(2, 1, start_ns=start, event_type="auth_check"),
        span(3, 1, start_ns=start, event_type="tool_call", attributes=tool),
    ]
    told: Any = {"conversation_id": "c-1", "session_id": "s-1", "user_id": "7"}
    texts: list[tuple[str, int, dict[str, Any]]] = [
        ("user_message", 300, {"message": "What is the status of job XYZ?"}),
        ("mcp_tool_call", 500, {"mcp_server": "qa_mcp", "tool_name": "get_job_status"}),
        ("mcp_tool_response", 900, {"mcp_server": "qa_mcp", "status": "success"}),
        ("assistant_response", 2200, {"message": "It runs.", "tokens_used": 150}),
    ]
    activities = [
        Activity(
            kind, ELEVEN + at * MS, data, activity_id=f"5e6bb1b4-0a4b-4cf5-9d6b-6ce7b7a2b{n:03d}", **told
        ).to_bytes()
        for n, (kind, at, data) in enumerate(texts, 1)
    ]
    lately = time.time_ns() - 3_600_000 * MS
    direct = [
        span(11, start_ns=lately, name="POST /mcp"),
        span(12, 11, start_ns=lately + MS, event_type="tool_call", attributes=tool),
    ]
    gateway = Identity("8", "neo@example.com", "Neo", "s-8", None, "mcp_gateway", "operations")
    who = Identity("7", "trinity@example.com", "Trinity", "s-1", "c-1", "web")
    with archives_in(postgres_dsn, data_dir) as archives:
        deliver(
            archives.make(),
            part(FLOW, spans, activities=tuple(activities), identity=who),
            part(FLOW + 1, direct, identity=gateway),
        )


def answered(http: httpx.Client) -> Iterator[tuple[Example, httpx.Response]]:
    """Every request of the pages with what a viewer says to it now."""
    for example in examples():
        yield example, example.send(http)


def shape(value: Any) -> Any:
    """The fields and kinds of a JSON value. Lists are alike when their first elements are."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__
