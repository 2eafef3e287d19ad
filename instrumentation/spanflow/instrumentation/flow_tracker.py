"""`FlowTracker` as gateways written before Spanflow know it: change the import and keep the calls.

Such a gateway reports moments (`log_event`), not durations. Each moment becomes a span that an honest reader would
draw: a check took from the previous moment until it was reported, thinking lasts until the answer is complete, and a
tool call that says `duration_ms` began that long ago.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span, set_span_in_context

from spanflow.instrumentation.call_arguments import given, is_plain, plain_data
from spanflow.instrumentation.checkpoint import Checkpoint
from spanflow.instrumentation.flow import Flow, flow
from spanflow.instrumentation.identify import clean_identity, identify, inherited_identity, tell_flow
from spanflow.instrumentation.runtime import runtime, say_once
from spanflow.instrumentation.values import short_text
from spanflow.span_processors import names
from spanflow.span_processors.event.reported import outcome_in, refusal_in
from spanflow.span_processors.ids import id_or_none

log = logging.getLogger(__name__)

#: Sessions that were never saved are ended when this many newer ones have come.
MAX_OPEN_FLOWS: Final = 4096
MAX_NODES: Final = 10_000
_NS_PER_MS: Final = 1_000_000
#: Events that mark a moment, whatever duration they name; and those that do so unless they name one.
_MARKS: Final = frozenset({names.LLM_THINKING, names.LLM_COMPLETE, names.ERROR})
_MOMENTS: Final = _MARKS | {names.TOOL_CALL}

_Key = tuple[str, str, int]
_REPORTED: Final = ("session_id", "user_id", "event_type")
_SAVED: Final = ("session_id", "user_id", "db", "conversation_id", "source")


@dataclass(frozen=True, slots=True)
class _Reported:
    """One call of `log_event`."""

    session_id: object
    user_id: object
    event_type: str
    parent_id: object
    data: dict[str, Any]


def _reported(args: tuple[Any, ...], keywords: dict[str, Any]) -> _Reported:
    arguments = given(_REPORTED, args, keywords)
    # After the event's type stands the parent, or the database session and then the parent.
    parent = next((value for value in args[len(_REPORTED) :] if value is not None and is_plain(value)), None)
    session_id, user_id, event_type = (arguments.pop(name, None) for name in _REPORTED)
    parent = arguments.pop("parent_id", parent)
    return _Reported(
        session_id, user_id, "event" if event_type is None else short_text(event_type), parent, plain_data(arguments)
    )


class _ReportedStep(Checkpoint):
    """A step as the gateway reports it, marked as such: an instrumentation may report the same step."""

    def _first_attributes(self) -> dict[str, Any]:
        return {**super()._first_attributes(), names.ATTR_REPORTED: True}


class _TrackedFlow:
    """One request of one session, as the calls report it."""

    def __init__(self, own_root: Flow | None, context: Context, now: int) -> None:
        self.own_root = own_root
        self.context = context
        self.started_ns = now
        self.last_ns = now
        #: Where the newest event starts. Each starts later, be it by a nanosecond: trees are read in order of starts.
        self.last_start_ns = now - 1
        self.events = 0
        self.thinking: Checkpoint | None = None
        self.nodes: dict[str, Context] = {}

    def parent_of(self, parent_id: object, event_type: str) -> Context:
        """Where a new node hangs: at the parent it names, else a tool call under the thinking that asked for it."""
        named = self.nodes.get(str(parent_id)) if parent_id is not None else None
        if named is not None:
            return named
        if parent_id is None and event_type == names.TOOL_CALL and self.thinking is not None:
            return self.thinking.context
        return self.context

    def started_at(self, event_type: str, data: dict[str, Any], now: int) -> int:
        """When an event began that is reported now. One reported with a duration may have begun before others."""
        duration = data.get("duration_ms")
        if event_type not in _MARKS and _is_duration(duration):
            return max(self.started_ns, now - int(duration * _NS_PER_MS))
        # The time before a tool call is the model's, not the tool's.
        start = now if event_type in _MOMENTS else min(self.last_ns, now)
        self.last_start_ns = max(start, self.last_start_ns + 1)
        return self.last_start_ns

    def belongs_to(self, *, conversation_id: Any, source: Any) -> None:
        """What a call says about the whole request beside its session and user."""
        if conversation_id is not None or source is not None:
            tell_flow(self.span, clean_identity(conversation_id=conversation_id, source=source))

    @property
    def span(self) -> Span:
        return get_current_span(self.context)

    def stop_thinking(self, now: int) -> None:
        if self.thinking is not None:
            self.thinking.end(now)
            self.thinking = None


class FlowTracker:
    """The three calls of such a gateway. They append to a queue and return; nothing is awaited or raised."""

    def __init__(self, *unused: object, clock: Callable[[], int] = time.time_ns, **also_unused: object) -> None:
        self._clock = clock
        self._flows: dict[_Key, _TrackedFlow] = {}

    async def is_monitored(self, /, *args: Any, **keywords: Any) -> bool:
        """`is_monitored(user_id)`: whether this user is watched now. Known in this process; nothing is asked over the
        network."""
        try:
            pipeline = runtime().pipeline
            user = id_or_none(given(("user_id",), args, keywords).get("user_id"))
            return pipeline is not None and user is not None and pipeline.is_watched(user)
        except Exception:
            say_once("is_monitored", "Whether a user is watched could not be told", exc_info=True)
            return False

    async def log_event(self, /, *args: Any, **data: Any) -> str:
        """`log_event(session_id, user_id, event_type, parent_id=None, **data)`: report a moment of a request. Gives
        back the node's id for children to name as their parent.

        A database session may be passed as `db`, or in the place before `parent_id`.
        """
        try:
            return self._log_event(_reported(args, data))
        except Exception:
            say_once("log_event", "An event could not be recorded", exc_info=True)
            return secrets.token_hex(8)

    async def save_to_db(self, /, *args: Any, **keywords: Any) -> int:
        """`save_to_db(session_id, user_id, db=None, conversation_id=None, source=None)`: the request is over. Gives
        back how many events it had; the archive is written later, outside of the request."""
        try:
            arguments = given(_SAVED, args, keywords)
            session_id, user_id = arguments.get("session_id"), arguments.get("user_id")
            key = self._key(session_id, user_id)
            tracked = self._flows.pop(key, None) if key is not None else None
            if tracked is None:
                return 0
            tracked.belongs_to(conversation_id=arguments.get("conversation_id"), source=arguments.get("source"))
            self._finish(tracked)
            log.info("saved %d events of session %s", tracked.events, session_id)
            return tracked.events
        except Exception:
            say_once("save_to_db", "A flow could not be ended", exc_info=True)
            return 0

    def _log_event(self, reported: "_Reported") -> str:
        now = self._clock()
        event_type, data = reported.event_type, reported.data
        tracked = self._find(reported.session_id, reported.user_id, now)
        tracked.belongs_to(conversation_id=data.get("conversation_id"), source=data.get("source"))
        now = max(now, tracked.last_ns)
        if event_type in _MARKS:
            tracked.stop_thinking(now)
        start = tracked.started_at(event_type, data, now)
        step = _ReportedStep(event_type, None, data).begin(tracked.parent_of(reported.parent_id, event_type), start)
        tracked.last_ns = max(now, start)
        if event_type == names.LLM_THINKING:
            tracked.thinking = step
        else:
            _judge(step, data)
            step.end(tracked.last_ns)
        tracked.events += 1
        node_id = f"{step.span.get_span_context().span_id or secrets.randbits(64):016x}"
        if len(tracked.nodes) < MAX_NODES:
            tracked.nodes[node_id] = step.context
        return node_id

    def _find(self, session_id: Any, user_id: Any, now: int) -> _TrackedFlow:
        key = self._key(session_id, user_id)
        tracked = self._flows.get(key) if key is not None else None
        if tracked is not None:
            return tracked
        source = inherited_identity(otel_context.get_current()).source or names.DEFAULT_SOURCE
        around = get_current_span()
        if around.is_recording():
            # The request's own span, where the gateway is traced anyway: its events belong into that flow.
            identify(user_id=user_id, session_id=session_id, source=source)
            tracked = _TrackedFlow(None, set_span_in_context(around, otel_context.get_current()), now)
        else:
            root = flow("request", user_id=user_id, session_id=session_id, source=source)
            root.begin(start_ns=now)
            tracked = _TrackedFlow(root, root.context, now)
        new_key = (str(session_id), str(user_id), around.get_span_context().trace_id if around.is_recording() else 0)
        self._flows[new_key] = tracked
        while len(self._flows) > MAX_OPEN_FLOWS:
            self._finish(self._flows.pop(next(iter(self._flows))))
        return tracked

    def _key(self, session_id: object, user_id: object) -> _Key | None:
        """The open flow that a call means: the one of the current trace, else the newest of that session.

        Two requests of one session may run at the same time; where each has a trace of its own they are distinguished.
        """
        session, user = str(session_id), str(user_id)
        here = get_current_span().get_span_context().trace_id
        if here and get_current_span().is_recording():
            return (session, user, here) if (session, user, here) in self._flows else None
        if (session, user, 0) in self._flows:
            return (session, user, 0)
        return next((key for key in reversed(self._flows) if key[:2] == (session, user)), None)

    def _finish(self, tracked: _TrackedFlow) -> None:
        now = max(self._clock(), tracked.last_ns)
        tracked.stop_thinking(now)
        if tracked.own_root is None:
            return  # the server span ends by itself, and with it the flow
        tracked.own_root.end(now)
        pipeline = runtime().pipeline
        if pipeline is not None:
            pipeline.end_flow(tracked.own_root.span.get_span_context().trace_id)


def _judge(step: Checkpoint, data: dict[str, Any]) -> None:
    """Read the outcome from the data, as these gateways put it there."""
    outcome = outcome_in(data)
    if outcome == names.OUTCOME_DENIED:
        step.deny(refusal_in(data))
    elif outcome == names.OUTCOME_ERROR or (data.get("error") and step.span.is_recording()):
        step.fail(refusal_in(data))


def _is_duration(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


_tracker: Final = FlowTracker()


def get_flow_tracker() -> FlowTracker:
    """The one tracker of this process."""
    return _tracker
