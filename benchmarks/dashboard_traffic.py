"""Events of several users at a steady pace, as their gateways' mirrors write them:
`python -m benchmarks.dashboard_traffic <job>`. Prints how many events and flows it has written."""

import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import redis

from spanflow.span_processors import names

_ROUNDS_PER_S: Final = 20
_PROCESS: Final = "benchmark"
_KINDS: Final = (
    ("auth_check", "auth_check"),
    ("llm_thinking", "chat model-1"),
    ("tool_call", "tools/call list_snapshots"),
    ("span", "POST"),
    ("tool_call", "tools/call get_job_status"),
    ("span", "SELECT jobs"),
    ("usage_check", "usage_check"),
)


@dataclass
class User:
    """One user's flows, each after the other: a root and its steps, every third one below the step before."""

    user_id: str
    spans: int
    flows: int = 0
    _flow_id: str = ""
    _open: list[dict[str, Any]] = field(default_factory=list)
    _made: int = 0

    @property
    def flow_id(self) -> str:
        return self._flow_id

    def events(self, number: int) -> list[dict[str, Any]]:
        return [self._next() for _ in range(number)]

    def _next(self) -> dict[str, Any]:
        if not self._open:
            self._flow_id, self._made = os.urandom(16).hex(), 0
            self.flows += 1
            return self._start(None, "span", "POST /api/v1/ask")
        if self._made == self.spans:
            return self._end()
        if len(self._open) > 1 and (self._made % 3 or len(self._open) > 2):
            return self._end()
        event_type, name = _KINDS[self._made % len(_KINDS)]
        return self._start(self._open[-1]["node_id"], event_type, name)

    def _start(self, parent_id: str | None, event_type: str, name: str) -> dict[str, Any]:
        self._made += 1
        event = {
            "v": 1,
            "phase": "start",
            "flow_id": self._flow_id,
            "node_id": f"{self._made:016x}",
            "parent_id": parent_id,
            "event_type": event_type,
            "name": name,
            "kind": "internal",
            "start_ns": str(time.time_ns()),
            "status": "unset",
            "attributes": {
                "user.id": self.user_id,
                "flow.session_id": "s-1",
                "flow.data.tool": name,
                "flow.data.arguments": '{"limit": 3, "where": {"state": "running"}}',
            },
            "process": _PROCESS,
            "scope": "benchmark",
        }
        self._open.append(event)
        return event

    def _end(self) -> dict[str, Any]:
        begun = self._open.pop()
        own = {"flow_id": begun["flow_id"], "node_id": begun["node_id"], "process": _PROCESS}
        attributes = {"flow.data.tokens": 12}
        return {
            "v": 1, "phase": "end", **own, "end_ns": str(time.time_ns()),
            "status": "unset", "outcome": "ok", "attributes": attributes,
        }  # fmt: skip

    @property
    def between_flows(self) -> bool:
        return not self._open


def write(client: Any, users: list[User], each: int) -> None:
    """So many events of each user, and one bell for all of them."""
    pipe = client.pipeline(transaction=False)
    for user in users:
        for event in user.events(each):
            flow_id, now = event["flow_id"], time.time()
            pipe.xadd(names.flow_stream(flow_id), {names.STREAM_FIELD: orjson.dumps(event)})
            if event["node_id"] == f"{1:016x}":
                if event["phase"] == "start":
                    pipe.zadd(names.OPEN_FLOWS, {flow_id: now})
                    pipe.zadd(names.user_flows(user.user_id), {flow_id: now})
                else:
                    pipe.zrem(names.OPEN_FLOWS, flow_id)
                    pipe.publish(names.flow_bell(user.user_id), flow_id)
        pipe.publish(names.flow_bell(user.user_id), user.flow_id)
    pipe.set(names.process_heartbeat(_PROCESS), 1, ex=60)
    pipe.execute()


def main() -> None:
    job = orjson.loads(sys.argv[1])
    client: Any = redis.Redis.from_url(job["redis_url"])
    users = [User(user_id, job["spans"]) for user_id in job["users"]]
    each = max(round(job["events_per_s"] / _ROUNDS_PER_S), 1)
    due, events, behind = time.perf_counter(), 0, 0.0
    for _ in range(int(job["seconds"] * _ROUNDS_PER_S)):
        write(client, users, each)
        events += each * len(users)
        due += 1 / _ROUNDS_PER_S
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        behind = max(behind, -wait)
    # What is open comes to its end, so that all that was written can be told from what is shown.
    while not all(user.between_flows for user in users):
        open_users = [user for user in users if not user.between_flows]
        write(client, open_users, 1)
        events += len(open_users)
    client.close()
    told = {"events": events, "flows": sum(user.flows for user in users), "behind_s": behind}
    sys.stdout.write(orjson.dumps(told).decode())


if __name__ == "__main__":
    main()
