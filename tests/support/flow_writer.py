"""Writes a running flow into Redis step by step, the way a gateway's mirror does, but exactly when a test wants it."""

import json
import time
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event, encode

NS_PER_MS = 1_000_000


class FlowWriter:
    """One flow of one user."""

    def __init__(
        self,
        url: str,
        user_id: str | None = "7",
        *,
        session_id: str | None = "s-1",
        conversation_id: str | None = None,
        flow_id: str | None = None,
        process: str = "p-1",
        watched: bool = True,
        start_ns: int | None = None,
    ) -> None:
        self.flow_id = flow_id or uuid4().hex
        self.user_id = user_id
        self.session_id = session_id
        self.conversation_id = conversation_id
        self.written: list[Event] = []
        self._redis = redis.Redis.from_url(url)
        self._process = process
        self._watched = watched
        self._start_ns = start_ns or time.time_ns()
        self._steps = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redis.close()

    def write(self, event: Event, *, ring: bool = True) -> None:
        """Append an event; the flow is open from then on."""
        self.written.append(event)
        self._redis.xadd(names.flow_stream(self.flow_id), {names.STREAM_FIELD: encode(event)})
        self._redis.zadd(names.OPEN_FLOWS, {self.flow_id: time.time()})
        started = self._start_ns / 1e9
        if self.user_id is not None:
            self._redis.zadd(names.user_flows(self.user_id), {self.flow_id: started})
        if self.session_id is not None:
            self._redis.zadd(names.session_flows(self.session_id), {self.flow_id: started})
        if self.conversation_id is not None:
            self._redis.zadd(names.conversation_flows(self.conversation_id), {self.flow_id: started})
        if ring:
            self.ring()

    def ring(self) -> None:
        if self._watched and self.user_id is not None:
            self._redis.publish(names.flow_bell(self.user_id), self.flow_id)

    def start(self, node: str, parent: str | None = None, event_type: str = "span", **fields: Any) -> None:
        self.write(self._event("start", node, parent, event_type, fields))

    def end(self, node: str, parent: str | None = None, event_type: str = "span", **fields: Any) -> None:
        event = self._event("end", node, parent, event_type, fields)
        event.setdefault("end_ns", str(int(event["start_ns"]) + NS_PER_MS))
        event.setdefault("outcome", "ok")
        self.write(event)

    def correct(self, node: str, user_id: str) -> None:
        """The flow is another user's, as its root says from now on. A gateway may leave the old index as it is."""
        self.user_id = user_id
        attributes = {"user.id": user_id}
        updated_ns = str(self._start_ns + self._steps * NS_PER_MS + 1)
        event: Event = {"v": 1, "phase": "update", "flow_id": self.flow_id, "node_id": node, "updated_ns": updated_ns}
        event["attributes"] = attributes
        self.write(event)

    def step(self, node: str, parent: str | None, event_type: str, **data: Any) -> None:
        """A whole checkpoint."""
        attributes = {f"flow.data.{key}": value for key, value in data.items()}
        self.start(node, parent, event_type)
        self.end(node, parent, event_type, attributes=attributes)

    def close(self) -> None:
        """What the archive's commit does: the flow is not open any more."""
        self._redis.zrem(names.OPEN_FLOWS, self.flow_id)
        self.ring()

    def open_again(self) -> None:
        """Its process was heard of once more, but nothing has happened in it."""
        self._redis.zadd(names.OPEN_FLOWS, {self.flow_id: time.time()})

    def beat(self, seconds: int = 60) -> None:
        self._redis.set(names.process_heartbeat(self._process), 1, ex=seconds)

    def describe(self, **about: Any) -> None:
        """What its process says of itself."""
        self._redis.set(names.process_description(self._process), json.dumps(about))

    def die(self) -> None:
        self._redis.delete(names.process_heartbeat(self._process))

    def _event(self, phase: str, node: str, parent: str | None, event_type: str, fields: dict[str, Any]) -> Event:
        self._steps += 1
        attributes: dict[str, Any] = dict(fields.pop("attributes", {}))
        if self.user_id is not None:
            attributes["user.id"] = self.user_id
        if self.session_id is not None:
            attributes["flow.session_id"] = self.session_id
        if self.conversation_id is not None:
            attributes["gen_ai.conversation.id"] = self.conversation_id
        event: Event = {
            "v": 1,
            "phase": phase,
            "flow_id": self.flow_id,
            "node_id": node,
            "parent_id": parent,
            "event_type": event_type,
            "name": fields.pop("name", event_type),
            "kind": "internal",
            "start_ns": str(self._start_ns + self._steps * NS_PER_MS),
            "status": "unset",
            "attributes": attributes,
            "process": self._process,
        }
        return event | fields  # type: ignore[return-value]
