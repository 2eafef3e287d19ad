"""Two weeks of made-up past for the demo: `python -m example_gateway.history`.

What the gateway would have recorded on those days, written by the archive itself. A second run for the same data
directory does nothing.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import asyncpg

from example_gateway.people import PEOPLE, WEIGHTS, Person
from example_gateway.questions import question
from spanflow.span_processors.activity import Activity
from spanflow.span_processors.archive.archive import build_archive
from spanflow.span_processors.event.event import Event, encode
from spanflow.span_processors.flow_part import FlowPart
from spanflow.span_processors.identity import Identity
from spanflow.span_processors.settings import Settings

DAYS: Final = 14
_CONVERSATIONS_A_DAY: Final = 50
#: The last days were busier: charts of them stand beside what the demo's visitors do now.
_BUSY_DAYS: Final = 2
_BUSIER: Final = 2.5
_BATCH: Final = 100
_INSTANCE: Final = "demo-history"
_MCP: Final = "workshop_mcp"
_MS: Final = 1_000_000
_MARKER: Final = "demo-history"
_GATES: Final = ("auth_check", "security_check", "block_check", "usage_check")
#: Some people chat over a WebSocket, which signs them in once; others send a request for each question.
_CHATS: Final = 0.6
_PROCESS: Final = (
    b'{"resource":{"attributes":{"service.name":"example-gateway"}},'
    b'"scopes":{"spanflow.instrumentation":{"name":"spanflow.instrumentation"}}}'
)
#: Tools by a word of the question, how long they usually take (ms), and what they say.
_TOOLS: Final = (
    ("job j", "get_job_status", 190, "It is running at {n}%."),
    ("snapshots", "list_snapshots", 320, "There are {n} snapshots, the newest of last night."),
    ("everything about", "search_documents", 450, "{n} documents mention it."),
    ("search for", "search_documents", 450, "{n} documents mention it; three of them are new."),
    ("report on", "write_report", 4_000, "The report is ready: {n} pages."),
    ("restart", "restart_service", 900, "It is up again."),
    ("broken", "read_record", 120, ""),
    ("frozen", "read_disk", 20_000, ""),
)
_ANSWERS: Final = (
    "There is **nothing unusual** in the last day.",
    "Most of it is done; what is left should take no more than an hour.",
    "Three things changed:\n\n- the indexer runs twice a day\n- backups are kept for 30 days\n- two old jobs are gone",
    "Gladly. I can look up jobs and snapshots, search documents and write reports.",
)
_NO_ANSWERS: Final = (
    "I could not read it: the tool did not answer.",
    "That did not work. Shall I try again later?",
)


@dataclass
class Turn:
    """One request of the past, put together step by step on a clock of its own."""

    random: Random
    person: Person
    conversation_id: str
    at_ns: int
    #: Over a WebSocket, where the sign-in was a step of the connection.
    chat: bool
    entries: list[Event] = field(default_factory=list)
    activities: list[bytes] = field(default_factory=list)
    _began_ns: int = 0

    def part(self, message: str) -> FlowPart:
        self._began_ns = self.at_ns
        root = self._id()
        outcome = self._answered(root, message)
        ended = self.at_ns
        ids = self._ids()
        name, kind = ("chat turn", "internal") if self.chat else ("POST /api/v1/ask/stream", "server")
        self.entries.insert(0, _event(root, None, "span", name, self._began_ns, ended, outcome, ids, kind))
        identity = Identity(
            user_id=ids["user.id"],
            email=self.person.email,
            full_name=self.person.name,
            session_id=f"s-{self.conversation_id}",
            conversation_id=self.conversation_id,
            source=ids["flow.source"],
            team=self.person.team,
        )
        return FlowPart(
            flow_id=f"{self.random.getrandbits(128):032x}",
            instance_id=_INSTANCE,
            entries=tuple(encode(entry) for entry in self.entries),
            process=_PROCESS,
            identity=identity,
            activities=tuple(self.activities),
            started_ns=self._began_ns,
            ended_ns=ended,
            root_ended=True,
        )

    def _answered(self, root: str, message: str) -> str:
        self._say("user_message", {"message": message})
        for gate in _GATES[self.chat :]:
            if (why := self._refusal(gate, message)) is not None:
                self._step(root, gate, gate, 0.05, outcome="denied", data={"flow.denied.reason": why})
                return "denied"
            self._step(root, gate, gate, 0.04)
        self._step(root, "tool_filter", "tool_filter", 0.1)
        if "overload" in message:
            self._think(root, message, "stand-in-large", 0, outcome="error")
            return "error"
        tools = [
            (word, name, usual_ms, said.format(n=self.random.randint(3, 40)))
            for word, name, usual_ms, said in _TOOLS
            if word in message.lower()
        ]
        self._think(root, message, "stand-in-small" if tools else "stand-in-large", 2)
        for _, name, usual_ms, said in tools:
            self._call(root, name, usual_ms, said)
        if tools:
            self._think(root, message, "stand-in-large", 24)
        found = " ".join(said for _, _, _, said in tools if said)
        answer = found or self.random.choice(_ANSWERS if not tools else _NO_ANSWERS)
        self._say("assistant_response", {"message": answer, "tokens_used": 380, "model": "stand-in-large"})
        self._step(root, "llm_complete", "llm_complete", 0.2)
        return "ok"

    def _refusal(self, gate: str, message: str) -> str | None:
        if gate == "block_check" and self.person.blocked:
            return "this account is blocked"
        if gate == "security_check" and "ignore all" in message.lower():
            return "the message looks like an attack on the model"
        if gate == "usage_check" and self.person.quota < 10 and self.random.random() < 0.4:
            return "no questions left for today"
        return None

    def _think(self, root: str, message: str, model: str, words: int, outcome: str = "ok") -> None:
        tokens = {
            "gen_ai.request.model": model,
            "gen_ai.provider.name": "example",
            "gen_ai.usage.input_tokens": self.random.randint(220, 420),
            "gen_ai.usage.output_tokens": words * self.random.randint(1, 4),
            "flow.data.prompt": message,
        }
        took = self.random.lognormvariate(0, 0.4) * (500 + 45 * words)
        self._step(root, "llm_thinking", f"chat {model}", took, outcome=outcome, data=tokens, kind="client")

    def _call(self, root: str, name: str, usual_ms: float, said: str) -> None:
        given: dict[str, Any] = {"flow.data.mcp": _MCP, "flow.data.tool": name, "gen_ai.tool.name": name}
        if name == "restart_service" and self.person.role != "admin":
            why = {"flow.denied.reason": f"{name} needs the role admin"}
            self._step(root, "mcp_permission_check", "mcp_permission_check", 0.04, outcome="denied", data=given | why)
            return
        self._step(root, "mcp_permission_check", "mcp_permission_check", 0.04, data=given)
        call = {"mcp_server": _MCP, "tool_name": name, "tool_call_id": f"{self.random.getrandbits(64):016x}"}
        self._say("mcp_tool_call", call)
        took = self.random.lognormvariate(0, 0.5) * usual_ms * (8 if self.random.random() < 0.02 else 1)
        if name == "read_disk":
            took = usual_ms
        failed = name in {"read_record", "read_disk"}
        status = "timeout" if name == "read_disk" else "error" if failed else "success"
        self._step(
            root,
            "tool_call",
            f"tools/call {name}",
            took,
            outcome="error" if failed else "ok",
            data=given | {"flow.data.result": said},
            kind="client",
        )
        self._say("mcp_tool_response", {**call, "status": status, "duration_ms": round(took, 1), "result": said})

    def _step(
        self,
        root: str,
        event_type: str,
        name: str,
        took_ms: float,
        *,
        outcome: str = "ok",
        data: dict[str, Any] | None = None,
        kind: str = "internal",
    ) -> None:
        began = self.at_ns
        self.at_ns += max(int(took_ms * self.random.uniform(0.8, 1.2) * _MS), 20_000)
        attributes = {**self._ids(), "flow.checkpoint.type": event_type, "flow.outcome": outcome, **(data or {})}
        self.entries.append(_event(self._id(), root, event_type, name, began, self.at_ns, outcome, attributes, kind))

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        activity = Activity(
            type=kind,
            time_ns=self.at_ns,
            data=data,
            conversation_id=self.conversation_id,
            session_id=f"s-{self.conversation_id}",
            user_id=str(self.person.user_id),
        )
        self.activities.append(activity.to_bytes())

    def _ids(self) -> dict[str, Any]:
        return {
            "user.id": str(self.person.user_id),
            "session.id": self.conversation_id,
            "gen_ai.conversation.id": self.conversation_id,
            "flow.session_id": f"s-{self.conversation_id}",
            "flow.source": "chat" if self.chat else "web",
        }

    def _id(self) -> str:
        return f"{self.random.getrandbits(64):016x}"


def _event(
    node_id: str,
    parent_id: str | None,
    event_type: str,
    name: str,
    began: int,
    ended: int,
    outcome: str,
    attributes: dict[str, Any],
    kind: str = "internal",
) -> Event:
    event: Event = {
        "phase": "end",
        "node_id": node_id,
        "parent_id": parent_id,
        "event_type": event_type,
        "name": name,
        "kind": kind,
        "start_ns": str(began),
        "end_ns": str(ended),
        "status": "error" if outcome == "error" else "unset",
        "outcome": outcome,
        "attributes": attributes,
        "process": _INSTANCE,
        "scope": "spanflow.instrumentation",
    }
    if outcome == "error":
        event["status_message"] = "the model is overloaded" if event_type == "llm_thinking" else "it did not answer"
    return event


def past(now: datetime, seed: int = 1) -> Iterator[FlowPart]:
    """The flows of the last days and of today so far, day by day; most of them in the hours in which people work."""
    now_ns = int(now.timestamp()) * 1_000_000_000
    for day in range(DAYS, -1, -1):
        random = Random(f"{seed} {day}")
        midnight = (now - timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        busy = _CONVERSATIONS_A_DAY * (1 if midnight.weekday() < 5 else 0.5) * (_BUSIER if day < _BUSY_DAYS else 1)
        for _ in range(int(busy)):
            hours = random.gauss(13, 5) % 24
            at_ns = int((midnight + timedelta(hours=hours)).timestamp()) * 1_000_000_000
            person, conversation = random.choices(PEOPLE, WEIGHTS)[0], f"{random.getrandbits(64):016x}"
            chat = random.random() < _CHATS
            for _ in range(random.choice((1, 2, 3, 4, 6, 9))):
                turn = Turn(random, person, conversation, at_ns, chat)
                asked = turn.part(question(random))
                if turn.at_ns > now_ns:
                    break
                yield asked
                at_ns = turn.at_ns + random.randint(4, 90) * 1_000_000_000


async def make_weeks(dsn: str, schema: str, now: datetime) -> None:
    """Partitions for the weeks before those that every installation has."""
    this_week = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    connection = await asyncpg.connect(dsn)
    try:
        for back in (3, 2):
            week = this_week - timedelta(weeks=back)
            name = f"interaction_flows_w{week:%Y%m%d}"
            until = week + timedelta(weeks=1)
            await connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{schema}".{name} PARTITION OF "{schema}".interaction_flows '
                f"FOR VALUES FROM ('{week.isoformat()}') TO ('{until.isoformat()}')"
            )
    finally:
        await connection.close()


def main() -> int:
    settings = Settings.from_environ(os.environ)
    marker = Path(settings.data_dir) / _MARKER
    if marker.exists():
        return 0
    now = datetime.now(UTC)
    asyncio.run(make_weeks(settings.postgres_dsn, settings.schema, now))
    archive = build_archive(settings, lambda: _INSTANCE, on_safe=lambda _: None)
    parts = list(past(now))
    try:
        for at in range(0, len(parts), _BATCH):
            archive.deliver(parts[at : at + _BATCH], time.monotonic() + 30)
    finally:
        archive.close(time.monotonic() + 10)
    marker.write_text(f"{len(parts)} flows\n")
    sys.stdout.write(f"{len(parts)} flows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
